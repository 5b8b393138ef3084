import Attacks
import Datasets
import Network
import Options
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// A model that knows its data: class k is a bright stripe in the rows 2k + 4 to 2k + 7, on noise.
enum ModelToy {
    static let classes = 5
    static let network = ClampNet(channels: 1, classes: classes)
    static let kernels = InstructionSet.best.kernels

    static func samples(_ count: Int, classes: Int = classes) -> Samples {
        var stream = RandomStream(seed: 3, purpose: "model toy images")
        let labels = (0..<count).map { UInt16($0 % 5) }
        let images = labels.flatMap { label in
            (0..<784).map { pixel -> UInt8 in
                let row = pixel / 28 - 2 * Int(label)
                return UInt8(stream.index(below: 60)) + ((4..<8).contains(row) ? 140 : 0)
            }
        }
        let set = ImageSet(channels: 1, height: 28, width: 28, classes: classes, images: images, labels: labels)
        return Samples(set, normalization: Normalization(mean: [0], std: [1]))
    }

    /// With clients that hold the first, the middle and the last third of 60 images.
    static func context(_ count: Int, threads: Int = 2, seed: UInt64 = 1) -> DefenseContext {
        var context = DefenseContext(synthetic: samples(count), kernels: kernels, threads: threads, seed: seed)
        let all = samples(60)
        context.clients = AskedClients((0..<3).map { all.subset(Array(20 * $0..<20 * ($0 + 1))) })
        return context
    }

    /// The defence of that name, those with long searches and trainings having short ones.
    static func make(_ name: String) -> (any ModelDefense)? {
        var settings = Settings()
        settings[SharpnessAwareTuning.epochs] = 3
        settings[NeuralCleanse.steps] = 4
        (settings[AntiBackdoorLearning.epochs], settings[AntiBackdoorLearning.unlearningEpochs]) = (3, 2)
        return ModelDefenses.make(name, settings)
    }

    /// The same context with the model before round 1, where the defence needs it.
    static func context(_ count: Int, for defense: any ModelDefense, initial: Parameters = random(), threads: Int = 2) -> DefenseContext {
        var context = context(count, threads: threads)
        if type(of: defense).needsInitial { context.initial = initial }
        return context
    }

    static func random() -> Parameters {
        let parameters = Parameters(network)
        var stream = RandomStream(seed: 1, purpose: "model toy weights")
        parameters.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        return parameters
    }

    /// Trained once for all tests.
    static let trained: Parameters = {
        var training = FineTuning()
        training.epochs = 8
        training.batch = 16
        training.sgd.rate = 0.02
        return (try? training.train(random(), context(200)).model) ?? random()
    }()

    /// The trained model with all activations and logits times `factor`: the same predictions in a network that is homogeneous
    /// in conv1's weights and all biases. Without norm layers this one's activations reach tens.
    static func scaled(_ factor: Float) -> Parameters {
        let model = Parameters(copying: trained)
        for tensor in network.tensors where tensor.name == "conv1/weight" || tensor.shape.count == 1 {
            model.setCanonical(tensor, model.canonical(tensor).map { factor * $0 })
        }
        return model
    }

    static func accuracy(_ model: Parameters, _ bounds: Bounds = Bounds(network), _ count: Int = 200) -> Double {
        accuracyOnLabels(model, bounds, samples(count), Predictor(network, kernels: kernels, threads: 2))
    }

    static func logits(_ model: Parameters, _ bounds: Bounds = Bounds(network), _ count: Int = 50) -> [Float] {
        let samples = samples(count)
        return Predictor(network, kernels: kernels, threads: 2).logits(count, model, bounds) { samples.load($0, into: $1) }
    }

    /// Changes the canonical values of a tensor, by name.
    static func edit(_ model: Parameters, _ name: String, _ body: (inout [Float]) -> Void) {
        for tensor in network.tensors where tensor.name == name {
            var values = model.canonical(tensor)
            body(&values)
            model.setCanonical(tensor, values)
        }
    }

    static func values(_ model: Parameters, _ name: String) -> [Float] {
        network.tensors.filter { $0.name == name }.flatMap { model.canonical($0) }
    }
}
