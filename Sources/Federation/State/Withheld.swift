import Datasets
import Options

/// Training images that no client gets, and what is left for them.
public struct Withheld: Sendable {
    /// Training images that `--evaluate-on dev` withholds from every client and measures on.
    public static let devImages = 5_000

    /// Ascending, all of them.
    public let dev: [Int], held: [Int], free: [Int]

    /// - Parameter holdsOut: the FM data are `holdout:N`.
    /// - Throws: `RunError` when too few would be left, or `holdout:N` is none.
    public init(_ configuration: RunConfiguration, _ train: ImageSet, holdsOut: Bool) throws {
        var stream = RandomStream(seed: configuration.seed, purpose: "withheld")
        var free = stream.permutation(train.count)
        func take(_ n: Int, _ what: String) throws -> [Int] {
            guard n > 0, free.count - n >= configuration.clients else {
                throw RunError.incompatible(
                    "\(what): cannot withhold \(n) of \(free.count) training images and leave one for each of \(configuration.clients) clients"
                )
            }
            defer { free.removeLast(n) }
            return free.suffix(n).sorted()
        }
        dev = configuration.evaluateOn == .dev ? try take(Self.devImages, "--evaluate-on dev") : []
        held = holdsOut ? try take(Self.holdout(configuration.synthetic), "--synthetic \(configuration.synthetic)") : []
        self.free = free.sorted()
    }

    private static func holdout(_ synthetic: String) throws -> Int {
        guard let n = SyntheticSource.holdout(ifAny: synthetic), n > 0 else {
            let option = RunConfiguration.declarations.synthetic.name
            throw SettingError(option, given: synthetic, expected: "a file, or holdout:N with N images")
        }
        return n
    }

    /// The clients' shares of what is free, as indices.
    public func shares(_ configuration: RunConfiguration, _ train: ImageSet) throws -> [[Int]] {
        try configuration.partition.split(
            labels: train.labels, among: free, clients: configuration.clients,
            imagesPerClient: configuration.imagesPerClient, owners: train.clients, seed: configuration.seed)
    }
}
