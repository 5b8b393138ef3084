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
/// class the 1.5 e n images of n with the largest scores are left out, where e is the part of a class that may be poisoned at most: a
/// number that the user has to know. Clean classes lose as many.
///
/// Source: Tran, Li and Madry, NeurIPS 2018, arXiv 1811.00636, algorithm 1. The default of e leaves out 15 %, as BackdoorBench does.
public struct SpectralSignatures: DataDefense {
    public static let name = "spectral-signatures"
    public static let part = Setting(
        "spectral-part", default: 0.1, in: .number(Interval(0, 0.6, includesLower: false), "a fraction"), value: "part",
        help: "Part of a class that may be poisoned; 1.5 times as much of every class is left out.")
    public static let settings: [any AnySetting] = [part]
    /// How many times as many images are left out as may be poisoned (algorithm 1).
    static let margin = 1.5

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
        let count = min(images.count, Int((Self.margin * part * Double(images.count)).rounded()))
        let along = leadingComponents(representations.centred(images), count: 1)
        let scores = along.map { $0.isEmpty ? 0 : $0[0] * $0[0] }
        return images.indices.sorted { (-scores[$0], $0) < (-scores[$1], $1) }.prefix(count).map { images[$0] }
    }
}
