import Attacks
import Datasets
import Network
@testable import Federation

/// Data that a network learns in a few steps: class k is a bright stripe in the rows 2k to 2k + 3, on noise.
enum Toy {
    static let classes = 5

    static func set(_ count: Int, seed: UInt64 = 1) -> ImageSet {
        var stream = RandomStream(seed: seed, purpose: "toy images")
        let labels = (0..<count).map { UInt16($0 % classes) }
        let images = labels.flatMap { label in
            (0..<784).map { pixel -> UInt8 in
                let row = pixel / 28 - 2 * Int(label)
                return UInt8(stream.index(below: 60)) + ((4..<8).contains(row) ? 140 : 0)
            }
        }
        return ImageSet(channels: 1, height: 28, width: 28, classes: classes, images: images, labels: labels)
    }

    static let network = ClampNet(channels: 1, classes: classes)
    static let kernels = InstructionSet.best.kernels
    static let normalization = Normalization(mean: [0], std: [1])

    static func dataset(_ count: Int) -> Dataset {
        Dataset(name: "toy", classNames: (0..<classes).map { "class \($0)" }, source: "test", train: set(count), test: set(50, seed: 2))
    }

    /// He-normal parameters.
    static func parameters(_ seed: UInt64 = 1) -> Parameters {
        let parameters = Parameters(network)
        var stream = RandomStream(seed: seed, purpose: "toy weights")
        parameters.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        return parameters
    }

    static func samples(_ count: Int, poisoned fraction: Double = 0, _ name: String = "patch") throws -> Samples {
        let samples = Samples(set(count), normalization: normalization)
        let trigger = try Triggers.make(name, shape: samples.shape, seed: 1)
        var stream = RandomStream(seed: 1, purpose: "toy poison")
        return samples.poisoned(Poisoning(Backdoor(trigger: trigger, relabeling: .target(0)), fraction: fraction), using: &stream)
    }

    static func context(_ global: Parameters, previous: Parameters? = nil, participants: Int = 10, colluders: Int = 2) -> AttackContext {
        AttackContext(global: global, previous: previous, participants: participants, colluders: colluders, kernels: kernels)
    }

    /// A malicious client's training with these changes to the configuration.
    static func trained(
        _ samples: Samples, from global: Parameters, previous: Parameters? = nil, client: Int = 0,
        _ change: (inout RunConfiguration) -> Void = { _ in }
    ) -> LocalResult {
        var configuration = RunConfiguration()
        configuration.attack = .classic
        configuration.batch = 16
        change(&configuration)
        let behaviors =
            configuration.isMalicious(client) ? MaliciousBehaviors.make(configuration.values, context(global, previous: previous)) : []
        return localTraining(
            configuration, samples, from: global, round: 1, client: client,
            trainer: Trainer(network, kernels: kernels), behaviors: behaviors)
    }
}

extension Parameters {
    var values: [Float] { Array(buffer.values) }
}
