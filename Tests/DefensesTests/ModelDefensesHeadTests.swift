import Attacks
import Datasets
import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// Every defence on the model, on a network with a head.
@Suite struct ModelDefensesHeadTests {
    private static let network = ClampNet(channels: 1, classes: ModelToy.classes, head: Head.all[5])  // 2x192

    /// Trained once for all tests; all activations and logits times 0.1, as in `ModelToy.scaled`.
    private static let trained: Parameters = {
        let start = Parameters(network)
        var stream = RandomStream(seed: 1, purpose: "model toy weights"), training = FineTuning()
        start.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        (training.epochs, training.batch, training.sgd.rate) = (8, 16, 0.02)
        let model = (try? training.train(start, ModelToy.context(200)).model) ?? start
        for tensor in network.tensors where tensor.name == "conv1/weight" || tensor.shape.count == 1 {
            model.setCanonical(tensor, model.canonical(tensor).map { 0.1 * $0 })
        }
        return model
    }()

    private func accuracy(_ model: Parameters, _ bounds: Bounds, _ images: Int = 200) -> Double {
        accuracyOnLabels(model, bounds, ModelToy.samples(images), Predictor(model.network, kernels: ModelToy.kernels, threads: 2))
    }

    @Test func toyIsLearnt() {
        #expect(Self.network.head.description == "2x192")
        #expect(accuracy(Self.trained, Bounds(Self.network)) > 0.95)
    }

    /// The network stays what it is and keeps most of its accuracy; fits bound the head's layers like all others, and say so.
    @Test func everyDefense() throws {
        for name in ModelDefenses.names {
            let defense = try #require(ModelToy.make(name))
            let outcome = try defense.apply(Self.trained, ModelToy.context(100, for: defense, initial: Self.trained))
            #expect(outcome.parameters.network == Self.network, Comment(rawValue: name))
            #expect(outcome.bounds.network == Self.network, Comment(rawValue: name))
            #expect(outcome.parameters.allFinite && outcome.bounds.buffer.values.allSatisfy { $0 >= 0 }, Comment(rawValue: name))
            // Algorithm 1 starts from below, bounds four layers, and this is its first update.
            let least = defense is PaperBounds ? 0.7 : 0.8, bounded = (defense as? PaperBounds)?.layers ?? Self.network.layers
            #expect(accuracy(outcome.parameters, outcome.bounds) > least, "\(name): \(outcome.audit)")
            guard !outcome.bounds.isUnbounded else { continue }
            for layer in bounded {
                #expect(outcome.bounds[layer].allSatisfy { $0.isFinite }, "\(name) \(layer)")
                #expect(outcome.audit.contains { $0.name.hasPrefix("\(layer.name): ") }, "\(name) \(layer)")
            }
        }
    }

    /// Pruned one by one in the whole network, the accuracies are those of Fine-Pruning's shortcut through the head.
    @Test func finePruningGoesThroughTheHead() {
        let context = ModelToy.context(100), pruning = FinePruning.LastConvolution(Self.trained, context.synthetic, context),
            activity = pruning.activity()
        let order = activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) }, accuracies = pruning.accuracies(order)
        #expect(Set(accuracies).count > 3, "they differ: \(accuracies)")
        for k in [0, 1, 64, 100, 112, 120, 125, 127, 128] {
            let pruned = HiddenChannels(network: Self.network).pruned(
                Self.trained, Set(order.prefix(k).map { Self.network.boundOffset(.conv6) + $0 }))
            #expect(abs(accuracies[k] - accuracy(pruned, Bounds(Self.network), 100)) <= 0.01, "\(k) channels")
        }
    }

    /// A unit of the head is a neuron with a number after fc1's: without it its row of weights and its bias are gone, nothing else.
    @Test func pruningAUnitOfTheHead() {
        let channels = HiddenChannels(network: Self.network), unit = Self.network.boundOffset(.head2) + 150
        let pruned = channels.pruned(Self.trained, [unit])
        for tensor in Self.network.tensors {
            var expected = Self.trained.canonical(tensor)
            if tensor.name == "head2/weight" { for i in 150 * 192..<151 * 192 { expected[i] = 0 } }
            if tensor.name == "head2/bias" { expected[150] = 0 }
            #expect(pruned.canonical(tensor) == expected, Comment(rawValue: tensor.name))
        }
        #expect(channels.summary([unit, 3]) == "conv1 1, head2 1")
    }

    /// Gradients of the factors of a neuron's weights, in the head too, against the sum over its row in canonical order.
    @Test func factorGradients() {
        let channels = HiddenChannels(network: Self.network), gradient = Parameters(copying: Self.trained)
        var weights = [Double](repeating: 0, count: channels.count), biases = weights
        channels.factorGradients(Self.trained, gradient.base, weights: &weights, biases: &biases)
        for layer in [Layer.fc1, .head1, .head2] {
            let values = Self.trained.canonical(Self.network.weight(layer)), inputs = values.count / Self.network.units(layer)
            for unit in 0..<Self.network.units(layer) {
                let squares = values[unit * inputs..<(unit + 1) * inputs].reduce(0) { $0 + Double($1) * Double($1) }
                #expect(abs(weights[Self.network.boundOffset(layer) + unit] - squares) <= 1e-9 * (1 + squares), "\(layer) \(unit)")
            }
        }
    }
}
