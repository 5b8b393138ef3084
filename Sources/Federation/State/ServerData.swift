import Attacks
import Datasets
import Network
import Tensor

/// What the server has: the FM data as it holds them, limited, poisoned if attacked, and measured for normalisation.
public struct ServerData: Sendable {
    public let synthetic: Samples
    /// The trigger that is planted or, without attack, the one that the floor is measured with.
    public let backdoor: Backdoor

    /// - Parameter held: of `set`, the images that stand in for FM data; nil for all.
    /// - Parameter normalization: where there are no FM data that it could be measured on.
    /// - Throws: `AttackError` for a trigger or target that the images do not allow.
    public init(
        _ configuration: RunConfiguration, _ network: ClampNet, _ set: ImageSet, _ held: [Int]? = nil,
        normalization: Normalization? = nil
    ) throws {
        backdoor = try Self.backdoor(configuration, network, ImageShape(channels: set.channels, side: set.height))
        let none = Normalization(mean: [Float](repeating: 0, count: set.channels), std: [Float](repeating: 1, count: set.channels))
        var indices = held ?? Array(0..<set.count)
        if let limit = configuration.syntheticLimit, limit < indices.count {
            var stream = RandomStream(seed: configuration.seed, purpose: "synthetic limit")
            stream.shuffle(&indices)
            indices = indices.prefix(limit).sorted()
        }
        indices = Self.thinned(indices, set, configuration)
        var samples = Samples(Self.mislabelled(set, indices, configuration), indices: indices, normalization: none)
        if configuration.attack.poisonsSynthetic {
            var stream = RandomStream(seed: configuration.seed, purpose: "poisoned FM images")
            samples = try samples.poisoned(
                Poisoning(
                    backdoor, fraction: configuration.fmPoisonFraction, cover: configuration.coverFraction ?? 0,
                    draw: configuration.fmPoisonDraw, label: configuration.poisonLabel),
                using: &stream
            ).prepared(flips: false)
        }
        synthetic = samples.with(normalization ?? samples.measuredNormalization())
    }

    /// Of class k of K only the part R^(-k / (K - 1)) of its images, drawn once, and one at the least; R is `fm-imbalance`.
    private static func thinned(_ indices: [Int], _ set: ImageSet, _ configuration: RunConfiguration) -> [Int] {
        guard let ratio = configuration.imbalance, ratio > 1 else { return indices }
        var stream = RandomStream(seed: configuration.seed, purpose: "FM imbalance"), kept: [Int] = []
        for label in 0..<set.classes {
            var own = indices.filter { set.labels[$0] == label }
            let part = Mathematics.exp(-Mathematics.log(ratio) * Double(label) / Double(set.classes - 1))
            stream.shuffle(&own)
            kept += own.prefix(max(1, Int((part * Double(own.count)).rounded())))
        }
        return kept.sorted()
    }

    /// The set with other labels on the part `fm-label-noise` of these images: of any class but their own, drawn once.
    private static func mislabelled(_ set: ImageSet, _ indices: [Int], _ configuration: RunConfiguration) -> ImageSet {
        guard let noise = configuration.labelNoise, noise > 0 else { return set }
        var stream = RandomStream(seed: configuration.seed, purpose: "FM label noise"), order = indices, labels = set.labels
        stream.shuffle(&order)
        for index in order.prefix(Int((noise * Double(indices.count)).rounded())) {
            labels[index] = UInt16((Int(labels[index]) + 1 + stream.index(below: set.classes - 1)) % set.classes)
        }
        return ImageSet(
            channels: set.channels, height: set.height, width: set.width, classes: set.classes, images: set.images, labels: labels,
            clients: set.clients)
    }

    /// The attack of a configuration on images of `shape`.
    static func backdoor(_ configuration: RunConfiguration, _ network: ClampNet, _ shape: ImageShape) throws -> Backdoor {
        try configuration.target.check(classes: network.classes)
        let trigger = try Triggers.make(configuration.trigger, shape: shape, seed: configuration.seed, configuration.values)
        let backdoor =
            configuration.allToAll
            ? Backdoor(trigger: trigger, relabeling: .next)
            : try Backdoor(trigger, named: configuration.trigger, leadingTo: configuration.target)
        guard configuration.adaptation == nil || backdoor.isAdaptable else { throw AttackError.notAdaptable(configuration.trigger) }
        return backdoor
    }
}

/// A client's images as it trains on them: a malicious one poisons a part, drawn once.
func clientSamples(_ configuration: RunConfiguration, _ client: Int, _ samples: Samples, _ backdoor: Backdoor) throws -> Samples {
    guard configuration.isMalicious(client) else { return samples }
    var stream = RandomStream(seed: configuration.seed, purpose: "poisoned images", client: client)
    return try samples.poisoned(
        Poisoning(
            backdoor, fraction: configuration.poisonFraction, cover: configuration.coverFraction ?? 0,
            share: TriggerShare(client, of: configuration.malicious), label: configuration.poisonLabel), using: &stream
    )
    .prepared(flips: samples.set.channels == 3)
}
