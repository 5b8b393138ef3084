import Attacks
import Datasets
import Network
import XCTest
@testable import Defenses

/// Every defence on the model, on a network with a head.
final class ModelDefensesHeadTests: XCTestCase {
    private static let network = ClampNet(channels: 1, classes: ModelToy.classes, head: Head.all[5])     // 2x192

    /// Trained once for all tests.
    private static let trained: Parameters = {
        let start = Parameters(network)
        var stream = RandomStream(seed: 1, purpose: "model toy weights"), training = FineTuning()
        start.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        (training.epochs, training.batch, training.sgd.rate) = (8, 16, 0.02)
        return (try? training.train(start, ModelToy.context(200)).model) ?? start
    }()

    private func accuracy(_ model: Parameters, _ bounds: Bounds, _ images: Int = 200) -> Double {
        Defenses.accuracy(model, bounds, ModelToy.samples(images), Predictor(model.network, kernels: ModelToy.kernels, threads: 2))
    }

    func testToyIsLearnt() {
        XCTAssertEqual(Self.network.head.description, "2x192")
        XCTAssertGreaterThan(accuracy(Self.trained, Bounds(Self.network)), 0.95)
    }

    /// The network stays what it is, keeps most of its accuracy, and no bit depends on the threads.
    func testEveryDefense() throws {
        for name in ModelDefenses.names {
            let defense = try XCTUnwrap(ModelDefenses.make(name))
            let one = try defense.apply(Self.trained, ModelToy.context(100, threads: 1)), three = try defense.apply(Self.trained, ModelToy.context(100, threads: 3))
            XCTAssertEqual(one.parameters.network, Self.network, name)
            XCTAssertEqual(one.bounds.network, Self.network, name)
            XCTAssertTrue(one.parameters.allFinite && one.bounds.buffer.values.allSatisfy { $0 >= 0 }, name)
            XCTAssertGreaterThan(accuracy(one.parameters, one.bounds), 0.8, "\(name): \(one.audit)")
            XCTAssertEqual(Array(one.parameters.buffer.values), Array(three.parameters.buffer.values), name)
            XCTAssertEqual(Array(one.bounds.buffer.values), Array(three.bounds.buffer.values), name)
            XCTAssertEqual(one.audit, three.audit, name)
        }
    }

    /// The fits bound the head's layers like all others, and say so.
    func testFitsBoundTheHead() throws {
        for name in ["bounds", "bounds-plain", "mm-bm", "mmac"] {
            let outcome = try XCTUnwrap(ModelDefenses.make(name)).apply(Self.trained, ModelToy.context(100))
            for layer in Self.network.layers {
                XCTAssertTrue(outcome.bounds[layer].allSatisfy(\.isFinite), "\(name) \(layer)")
                XCTAssertTrue(outcome.audit.contains { $0.name.hasPrefix("\(layer.name): ") }, "\(name) \(layer)")
            }
        }
    }

    /// Pruned one by one in the whole network, the accuracies are those of Fine-Pruning's shortcut through the head.
    func testFinePruningGoesThroughTheHead() {
        let context = ModelToy.context(100), pruning = FinePruning.LastConvolution(Self.trained, context.synthetic, context), activity = pruning.activity()
        let order = activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) }, accuracies = pruning.accuracies(order)
        XCTAssertGreaterThan(Set(accuracies).count, 3, "they differ: \(accuracies)")
        for k in [0, 1, 64, 100, 112, 120, 125, 127, 128] {
            let pruned = HiddenChannels(network: Self.network).pruned(Self.trained, Set(order.prefix(k).map { Self.network.boundOffset(.conv6) + $0 }))
            XCTAssertEqual(accuracies[k], accuracy(pruned, Bounds(Self.network), 100), accuracy: 0.01, "\(k) channels")
        }
    }

    /// A unit of the head is a neuron with a number after fc1's: without it its row of weights and its bias are gone, nothing else.
    func testPruningAUnitOfTheHead() {
        let channels = HiddenChannels(network: Self.network), unit = Self.network.boundOffset(.head2) + 150
        let pruned = channels.pruned(Self.trained, [unit])
        for tensor in Self.network.tensors {
            var expected = Self.trained.canonical(tensor)
            if tensor.name == "head2/weight" { for i in 150 * 192..<151 * 192 { expected[i] = 0 } }
            if tensor.name == "head2/bias" { expected[150] = 0 }
            XCTAssertEqual(pruned.canonical(tensor), expected, tensor.name)
        }
        XCTAssertEqual(channels.summary([unit, 3]), "conv1 1, head2 1")
    }

    /// Gradients of the factors of a neuron's weights, in the head too, against the sum over its row in canonical order.
    func testFactorGradients() {
        let channels = HiddenChannels(network: Self.network), gradient = Parameters(copying: Self.trained)
        var weights = [Double](repeating: 0, count: channels.count), biases = weights
        channels.factorGradients(Self.trained, gradient.base, weights: &weights, biases: &biases)
        for layer in [Layer.fc1, .head1, .head2] {
            let values = Self.trained.canonical(Self.network.weight(layer)), inputs = values.count / Self.network.units(layer)
            for unit in 0..<Self.network.units(layer) {
                let squares = values[unit * inputs..<(unit + 1) * inputs].reduce(0) { $0 + Double($1) * Double($1) }
                XCTAssertEqual(weights[Self.network.boundOffset(layer) + unit], squares, accuracy: 1e-9 * (1 + squares), "\(layer) \(unit)")
            }
        }
    }
}
