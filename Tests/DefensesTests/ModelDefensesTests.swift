import Datasets
import Network
import XCTest
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// Fine-tuning and channel Lipschitz pruning, and what holds of every defence on the model.
final class ModelDefensesTests: XCTestCase {
    func testNames() {
        XCTAssertEqual(
            ModelDefenses.names,
            [
                "bounds", "bounds-paper", "bounds-unlearning", "unlearning", "fine-tuning", "clp", "anp", "mm-bm", "mmac", "fine-pruning",
                "pruning", "ft-sam", "flain", "neural-cleanse", "abl",
            ])
        XCTAssertEqual(Set(ModelDefenses.names).count, ModelDefenses.names.count)
    }

    func testToyIsLearnt() { XCTAssertGreaterThan(ModelToy.accuracy(ModelToy.trained), 0.95) }

    func testSameBitsForAnyThreadCount() throws {
        for name in ModelDefenses.names {
            let defense = try XCTUnwrap(ModelToy.make(name))
            let one = try defense.apply(ModelToy.trained, ModelToy.context(50, for: defense, threads: 1))
            let four = try defense.apply(ModelToy.trained, ModelToy.context(50, for: defense, threads: 4))
            XCTAssertEqual(Array(one.parameters.buffer.values), Array(four.parameters.buffer.values), name)
            XCTAssertEqual(Array(one.bounds.buffer.values), Array(four.bounds.buffer.values), name)
            XCTAssertEqual(one.audit, four.audit, name)
        }
    }

    func testModelsThatAreNotFiniteAreRefused() throws {
        let broken = Parameters(copying: ModelToy.trained)
        broken.base[5] = .nan
        for name in ModelDefenses.names {
            let defense = try XCTUnwrap(ModelToy.make(name))
            XCTAssertThrowsError(try defense.apply(broken, ModelToy.context(50)), name) { XCTAssertTrue($0 is DefenseError) }
        }
    }

    func testTooFewImagesAreRefusedWithNumbers() throws {
        for name in ModelDefenses.names where !["clp", "pruning"].contains(name) {
            let defense = try XCTUnwrap(ModelToy.make(name))
            XCTAssertThrowsError(try defense.apply(ModelToy.trained, ModelToy.context(1)), name) {
                XCTAssertTrue("\($0)".contains("got 1"), "\($0)")
            }
        }
    }

    func testFineTuningIsAsPlannedAndKeepsWhatFits() throws {
        var tuning = FineTuning()
        tuning.sgd.decay = 0
        let outcome = try tuning.apply(ModelToy.trained, ModelToy.context(100))
        XCTAssertEqual(outcome.passes, 500)
        XCTAssertEqual(ModelToy.accuracy(outcome.parameters), ModelToy.accuracy(ModelToy.trained), accuracy: 0.02)
    }

    /// One image in one batch, no decay, no momentum yet: w - rate * gradient, the gradient from the trainer by itself.
    func testFineTuningStepAgainstItsGradient() throws {
        var tuning = FineTuning()
        tuning.epochs = 1
        tuning.sgd = SGD(rate: 0.01, momentum: 0.9, decay: 5e-4, clip: 0.5)
        let samples = ModelToy.samples(20), start = ModelToy.random()
        let tuned = try tuning.train(start, ModelToy.context(20)).model
        let trainer = Trainer(ModelToy.network, kernels: ModelToy.kernels)
        trainer.reset(start)
        _ = trainer.gradient(
            20, load: { samples.load($0, into: $1) },
            loss: { i, y, dy in
                Loss.crossEntropy(y, classes: 5, label: samples.label(i), batch: 20, gradient: dy)
            })
        let g = Array(trainer.sum.parameters.values).map(Double.init)
        let norm = g.reduce(0) { $0 + $1 * $1 }.squareRoot(), factor = min(1, 0.5 / norm)
        for i in g.indices {
            let w = Double(start.base[i]), expected = w - 0.01 * (factor * g[i] + 5e-4 * w)
            guard abs(Double(tuned.base[i]) - expected) <= 1e-6 * (1 + abs(expected)) else {
                return XCTFail("parameter \(i): \(tuned.base[i]), expected \(expected)")
            }
        }
    }

    func testLipschitzPruningFindsAPlantedKernel() throws {
        let model = ModelToy.random()
        let inputs = (0..<64).map { Float($0 % 7) - 3 }, taps = (0..<9).map { Float($0) - 2 }
        ModelToy.edit(model, "conv4/weight") { values in  // channel 11: the outer product, of norm |inputs| |taps|
            for i in 0..<64 { for t in 0..<9 { values[(11 * 64 + i) * 9 + t] = inputs[i] * taps[t] } }
        }
        ModelToy.edit(model, "conv4/bias") { $0[11] = 3 }
        func norm(_ x: [Float]) -> Double { x.reduce(0) { $0 + Double($1 * $1) }.squareRoot() }
        XCTAssertEqual(LipschitzPruning.lipschitz(model, .conv4)[11], norm(inputs) * norm(taps), accuracy: 1e-9)

        let outcome = try LipschitzPruning().apply(model, ModelToy.context(0))
        let weights = ModelToy.values(outcome.parameters, "conv4/weight"), before = ModelToy.values(model, "conv4/weight")
        XCTAssertTrue(weights[11 * 576..<12 * 576].allSatisfy { $0 == 0 })
        XCTAssertEqual(ModelToy.values(outcome.parameters, "conv4/bias")[11], 0)
        XCTAssertEqual(weights[..<(11 * 576)], before[..<(11 * 576)])
        XCTAssertEqual(ModelToy.values(outcome.parameters, "fc1/weight"), ModelToy.values(model, "fc1/weight"))
        XCTAssertEqual(outcome.passes, 0)
    }

    /// The singular values again, by power iteration on the canonical kernels.
    func testLipschitzAgainstPowerIteration() {
        let model = ModelToy.random()
        for (layer, inputs) in [(Layer.conv1, 1), (.conv2, 32), (.conv6, 128)] {
            let values = ModelToy.values(model, "\(layer.name)/weight").map(Double.init)
            for (channel, found) in LipschitzPruning.lipschitz(model, layer).enumerated().prefix(8) {
                var v = [Double](repeating: 1, count: 9), sigma = 0.0
                for _ in 0..<2000 {
                    var next = [Double](repeating: 0, count: 9)
                    for i in 0..<inputs {
                        let row = values[(channel * inputs + i) * 9..<(channel * inputs + i + 1) * 9]
                        let dot = zip(row, v).reduce(0) { $0 + $1.0 * $1.1 }
                        for (t, x) in row.enumerated() { next[t] += dot * x }
                    }
                    let length = next.reduce(0) { $0 + $1 * $1 }.squareRoot()
                    sigma = length.squareRoot()
                    v = next.map { $0 / length }
                }
                XCTAssertEqual(found, sigma, accuracy: 1e-6 * sigma, "\(layer.name) channel \(channel)")
            }
        }
    }
}
