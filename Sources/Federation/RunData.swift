import Attacks
import Datasets
import Network

/// The data of a run, divided: clients' shares, FM data as the server holds them, evaluation images. All are views.
public struct RunData: Sendable {
    public let network: ClampNet
    public let clients: [Samples]
    public let synthetic: Samples
    public let evaluation: Samples
    /// The trigger that is planted or, without attack, the one that the floor is measured with.
    public let backdoor: Backdoor
    public let datasetName: String, datasetDigest: String, syntheticName: String, syntheticDigest: String

    /// Training images that `--evaluate-on dev` withholds from every client and measures on.
    public static let devImages = 5_000

    /// - Parameter generated: the FM data from a file; nil for `holdout:N`, training images that no client gets.
    /// - Throws: `RunError`, `DatasetError`, `AttackError` when data and configuration do not fit.
    public init(_ configuration: RunConfiguration, _ dataset: Dataset, _ generated: UnnamedSplit?, syntheticName: String) throws {
        let train = dataset.train, classes = train.classes
        network = ClampNet(channels: train.channels, classes: classes)
        guard configuration.target < classes else { throw AttackError.target(configuration.target, classes: classes) }
        try Self.check(generated, against: train, named: dataset.name)

        var withheld = RandomStream(seed: configuration.seed, purpose: "withheld")
        var free = withheld.permutation(train.count)
        func take(_ n: Int, _ what: String) throws -> [Int] {
            guard n > 0, free.count - n >= configuration.clients else {
                throw RunError.incompatible("\(what): cannot withhold \(n) of \(free.count) training images and leave one for each of \(configuration.clients) clients")
            }
            defer { free.removeLast(n) }
            return free.suffix(n).sorted()
        }
        let dev = configuration.evaluateOn == .dev ? try take(Self.devImages, "--evaluate-on dev") : []
        let held = try generated == nil ? take(Self.holdout(configuration.synthetic), "--synthetic \(configuration.synthetic)") : []

        let shape = ImageShape(channels: train.channels, side: train.height)
        let trigger = try Triggers.make(configuration.trigger, shape: shape, seed: configuration.seed)
        let backdoor = Backdoor(trigger: trigger, relabeling: configuration.allToAll ? .next : .target(configuration.target))
        self.backdoor = backdoor

        synthetic = try Self.synthetic(configuration, generated?.set ?? train, generated == nil ? held : nil, backdoor)
        let normalization = synthetic.normalization
        let parts = try configuration.partition.split(labels: train.labels, among: free.sorted(), clients: configuration.clients,
                                                      imagesPerClient: configuration.imagesPerClient, seed: configuration.seed)
        clients = parts.enumerated().map { client, indices in
            let samples = Samples(train, indices: indices, normalization: normalization)
            guard configuration.isMalicious(client) else { return samples }
            var stream = RandomStream(seed: configuration.seed, purpose: "poisoned images", client: client)
            return samples.poisoned(Poisoning(backdoor, fraction: configuration.poisonFraction, cover: configuration.coverFraction ?? 0,
                                              share: TriggerShare(client, of: configuration.malicious)), using: &stream)
        }
        let split = configuration.evaluateOn == .dev ? train : dataset.test
        var indices = configuration.evaluateOn == .dev ? dev : Array(0..<split.count)
        if let limit = configuration.evaluationLimit { indices = Array(indices.prefix(limit)) }
        evaluation = Samples(split, indices: indices, normalization: normalization)
        datasetName = dataset.name
        datasetDigest = dataset.digest
        self.syntheticName = syntheticName
        syntheticDigest = generated?.digest ?? "\(configuration.synthetic) of \(dataset.digest)"
    }

    /// N of `holdout:N`; nil for a path.
    public static func holdout(ifAny synthetic: String) -> Int? {
        synthetic.hasPrefix("holdout:") ? Int(synthetic.dropFirst(8)) ?? 0 : nil
    }

    private static func holdout(_ synthetic: String) throws -> Int {
        guard let n = holdout(ifAny: synthetic), n > 0 else {
            throw RunError.invalid(option: "--synthetic", given: synthetic, expected: "a file, or holdout:N with N images")
        }
        return n
    }

    private static func check(_ generated: UnnamedSplit?, against train: ImageSet, named name: String) throws {
        guard let set = generated?.set else { return }
        guard set.channels == train.channels, set.height == train.height else {
            throw RunError.incompatible("the FM images are \(set.channels)x\(set.height)x\(set.width), those of \(name) \(train.channels)x\(train.height)x\(train.width)")
        }
        if let label = set.labels.max(), Int(label) >= train.classes {
            throw RunError.incompatible("an FM image has label \(label), \(name) has classes 0 to \(train.classes - 1)")
        }
    }

    /// The FM data as the server holds them: limited, poisoned if attacked, and measured for normalisation.
    private static func synthetic(_ configuration: RunConfiguration, _ set: ImageSet, _ held: [Int]?, _ backdoor: Backdoor) throws -> Samples {
        let none = Normalization(mean: [Float](repeating: 0, count: set.channels), std: [Float](repeating: 1, count: set.channels))
        var indices = held ?? Array(0..<set.count)
        if let limit = configuration.syntheticLimit, limit < indices.count {
            var stream = RandomStream(seed: configuration.seed, purpose: "synthetic limit")
            stream.shuffle(&indices)
            indices = indices.prefix(limit).sorted()
        }
        var samples = Samples(set, indices: indices, normalization: none)
        if configuration.attack.poisonsSynthetic {
            var stream = RandomStream(seed: configuration.seed, purpose: "poisoned FM images")
            samples = samples.poisoned(Poisoning(backdoor, fraction: configuration.fmPoisonFraction, cover: configuration.coverFraction ?? 0),
                                       using: &stream)
        }
        return samples.with(samples.measuredNormalization())
    }
}
