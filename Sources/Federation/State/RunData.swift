import Attacks
import Datasets
import Network

/// The data of a run, divided: clients' shares, FM data as the server holds them, evaluation images. All are views.
public struct RunData: Sendable {
    public let network: ClampNet
    public let clients: [Samples]
    public let server: ServerData
    public let evaluation: Samples
    /// As configured: of local test sets, and of their draw.
    let localTestImages: Int, seed: UInt64
    public let datasetName: String, datasetDigest: String, syntheticName: String, syntheticDigest: String

    /// - Parameter generated: the FM data from a file; nil for `holdout:N`, training images that no client gets.
    /// - Throws: `RunError`, `DatasetError`, `AttackError` when data and configuration do not fit.
    public init(_ configuration: RunConfiguration, _ dataset: Dataset, _ generated: UnnamedSplit?, syntheticName: String) throws {
        let train = dataset.train, classes = train.classes
        network = ClampNet(channels: train.channels, classes: classes)
        try configuration.target.check(classes: classes)
        try Self.check(generated, against: train, named: dataset.name)

        let isPlain = SyntheticSource.isPlain(configuration.synthetic)
        let parts = try Withheld(configuration, train, holdsOut: generated == nil && !isPlain),
            shares = try parts.shares(configuration, train)
        server = try ServerData(
            configuration, network, generated?.set ?? train, generated == nil ? parts.held : nil,
            normalization: isPlain ? Self.measured(train, shares) : nil)
        let normalization = server.synthetic.normalization, backdoor = server.backdoor
        clients = try shares.enumerated().map { client, indices in
            try clientSamples(configuration, client, Samples(train, indices: indices, normalization: normalization), backdoor)
        }
        let split = configuration.evaluateOn == .dev ? train : dataset.test
        var indices = configuration.evaluateOn == .dev ? parts.dev : Array(0..<split.count)
        if let limit = configuration.evaluationLimit { indices = Array(indices.prefix(limit)) }
        evaluation = Samples(split, indices: indices, normalization: normalization)
        _ = try evaluation.triggered(backdoor).prepared(flips: false)
        (localTestImages, seed) = (configuration.localTestImages, configuration.seed)
        datasetName = dataset.name
        datasetDigest = dataset.digest
        self.syntheticName = syntheticName
        syntheticDigest = generated?.digest ?? Self.holdoutDigest(configuration, dataset)
    }

    /// What of a configuration does not fit the data; the network that would be trained.
    ///
    /// - Throws: as the initialiser, of which these are the checks.
    static func check(_ configuration: RunConfiguration, _ dataset: Dataset, _ generated: UnnamedSplit?) throws -> ClampNet {
        let train = dataset.train, network = ClampNet(channels: train.channels, classes: train.classes)
        try check(generated, against: train, named: dataset.name)
        let holdsOut = generated == nil && !SyntheticSource.isPlain(configuration.synthetic)
        _ = try Withheld(configuration, train, holdsOut: holdsOut).shares(configuration, train)
        _ = try ServerData.backdoor(configuration, network, ImageShape(channels: train.channels, side: train.height))
        return network
    }

    /// Mean and deviation of the clients' own images, which they can sum without showing one: stands in for that of FM data.
    private static func measured(_ train: ImageSet, _ shares: [[Int]]) -> Normalization {
        let none = Normalization(mean: [Float](repeating: 0, count: train.channels), std: [Float](repeating: 1, count: train.channels))
        return Samples(train, indices: shares.flatMap { $0 }, normalization: none).measuredNormalization()
    }

    /// Stands for the digest of FM data that are withheld training images, or none.
    public static func holdoutDigest(_ configuration: RunConfiguration, _ dataset: Dataset) -> String {
        SyntheticSource.isPlain(configuration.synthetic) ? configuration.synthetic : "\(configuration.synthetic) of \(dataset.digest)"
    }

    private static func check(_ generated: UnnamedSplit?, against train: ImageSet, named name: String) throws {
        guard let set = generated?.set else { return }
        guard set.channels == train.channels, set.height == train.height else {
            throw RunError.incompatible(
                "the FM images are \(set.channels)x\(set.height)x\(set.width), those of \(name) \(train.channels)x\(train.height)x\(train.width)"
            )
        }
        if let label = set.labels.max(), Int(label) >= train.classes {
            throw RunError.incompatible("an FM image has label \(label), \(name) has classes 0 to \(train.classes - 1)")
        }
    }

    public var synthetic: Samples { server.synthetic }
    public var backdoor: Backdoor { server.backdoor }

    /// A client's images on average.
    public var meanImages: Int { clients.reduce(0) { $0 + $1.count } / max(1, clients.count) }

    public var provenance: Provenance {
        Provenance(dataset: datasetName, datasetDigest: datasetDigest, synthetic: syntheticName, syntheticDigest: syntheticDigest)
    }
}
