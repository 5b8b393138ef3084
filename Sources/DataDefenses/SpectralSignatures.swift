import Attacks
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// Spectral Signatures: poison moves a class's mean representation, and so has a large part along the direction in which the class
/// spreads most.
///
/// With R the representations of a class less their mean and v the leading right singular vector of R, image i scores (R_i v)^2. Of every
/// class the part with the largest scores is left out: 1.5 times the part that may be poisoned at most, which the user has to know. Clean
/// classes lose as many. One image of a class stays.
///
/// Source: Tran, Li and Madry, NeurIPS 2018, arXiv 1811.00636, algorithm 1; 0.15 as in BackdoorBench.
public struct SpectralSignatures: DataDefense {
    public static let name = "spectral-signatures"
    public static let part = Setting(
        "spectral-part", default: 0.15, in: .fractionAboveZero, value: "part",
        help: "Part of every class that is left out; 1.5 times what may be poisoned.")
    public static let settings: [any AnySetting] = [part]

    private let part: Double

    public init(_ settings: Settings = Settings()) { part = settings[Self.part] }

    public func examine(_ model: Parameters, _ context: DefenseContext) throws -> (images: [Int], findings: [Finding]) {
        examine(try Representations(model, context, for: Self.name), threads: context.threads)
    }

    func examine(_ representations: Representations, threads: Int) -> (images: [Int], findings: [Finding]) {
        let out = parallelMap(representations.classes, threads: threads) { label, _ in outliers(representations, label) }
        return (out.flatMap { $0 }.sorted(), [Finding("left out of each class", out.map { "\($0.count)" }.joined(separator: " "))])
    }

    /// Positions of a class's images with the largest scores, of equal ones those that come first.
    private func outliers(_ representations: Representations, _ label: Int) -> [Int] {
        let images = representations.images(of: label)
        let count = max(0, min(images.count - 1, Int((part * Double(images.count)).rounded())))
        let along = leadingComponents(representations.centred(images), count: 1)
        let scores = along.map { $0.isEmpty ? 0 : $0[0] * $0[0] }
        return images.indices.sorted { (-scores[$0], $0) < (-scores[$1], $1) }.prefix(count).map { images[$0] }
    }
}
