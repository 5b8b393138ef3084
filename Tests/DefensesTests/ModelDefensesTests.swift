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

/// Fine-tuning and channel Lipschitz pruning, and what holds of every defence on the model.
@Suite struct ModelDefensesTests {
    @Test func names() {
        #expect(
            ModelDefenses.names == [
                "bounds", "bounds-paper", "bounds-unlearning", "unlearning", "fine-tuning", "clp", "anp", "mm-bm", "mmac", "fine-pruning",
                "pruning", "ft-sam", "flain", "neural-cleanse", "abl",
            ])
        #expect(Set(ModelDefenses.names).count == ModelDefenses.names.count)
    }

    @Test func toyIsLearnt() { #expect(ModelToy.accuracy(ModelToy.trained) > 0.95) }

    @Test func sameBitsForAnyThreadCount() throws {
        for name in ModelDefenses.names {
            let defense = try #require(ModelToy.make(name))
            let one = try defense.apply(ModelToy.trained, ModelToy.context(50, for: defense, threads: 1))
            let four = try defense.apply(ModelToy.trained, ModelToy.context(50, for: defense, threads: 4))
            #expect(Array(one.parameters.buffer.values) == Array(four.parameters.buffer.values), Comment(rawValue: name))
            #expect(Array(one.bounds.buffer.values) == Array(four.bounds.buffer.values), Comment(rawValue: name))
            #expect(one.audit == four.audit, Comment(rawValue: name))
        }
    }

    @Test func modelsThatAreNotFiniteAreRefused() throws {
        let broken = Parameters(copying: ModelToy.trained)
        broken.base[5] = .nan
        for name in ModelDefenses.names {
            let defense = try #require(ModelToy.make(name))
            #expect(throws: DefenseError.self, Comment(rawValue: name)) { try defense.apply(broken, ModelToy.context(50)) }
        }
    }

    @Test func tooFewImagesAreRefusedWithNumbers() throws {
        for name in ModelDefenses.names where !["clp", "pruning"].contains(name) {
            let defense = try #require(ModelToy.make(name))
            let error = #expect(throws: (any Error).self) { try defense.apply(ModelToy.trained, ModelToy.context(1)) }
            #expect(error.map { "\($0)" }?.contains("got 1") == true, Comment(rawValue: name))
        }
    }

    @Test func fineTuningIsAsPlannedAndKeepsWhatFits() throws {
        var tuning = FineTuning()
        tuning.sgd.decay = 0
        let outcome = try tuning.apply(ModelToy.trained, ModelToy.context(100))
        #expect(outcome.passes == 500)
        #expect(abs(ModelToy.accuracy(outcome.parameters) - ModelToy.accuracy(ModelToy.trained)) <= 0.02)
    }

    /// One image in one batch, no decay, no momentum yet: w - rate * gradient, the gradient from the trainer by itself.
    @Test func fineTuningStepAgainstItsGradient() throws {
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
                Issue.record("parameter \(i): \(tuned.base[i]), expected \(expected)")
                return
            }
        }
    }

    @Test func lipschitzPruningFindsAPlantedKernel() throws {
        let model = ModelToy.random()
        let inputs = (0..<64).map { Float($0 % 7) - 3 }, taps = (0..<9).map { Float($0) - 2 }
        ModelToy.edit(model, "conv4/weight") { values in  // channel 11: the outer product, of norm |inputs| |taps|
            for i in 0..<64 { for t in 0..<9 { values[(11 * 64 + i) * 9 + t] = inputs[i] * taps[t] } }
        }
        ModelToy.edit(model, "conv4/bias") { $0[11] = 3 }
        func norm(_ x: [Float]) -> Double { x.reduce(0) { $0 + Double($1 * $1) }.squareRoot() }
        #expect(abs(LipschitzPruning.lipschitz(model, .conv4)[11] - norm(inputs) * norm(taps)) <= 1e-9)

        let outcome = try LipschitzPruning().apply(model, ModelToy.context(0))
        let weights = ModelToy.values(outcome.parameters, "conv4/weight"), before = ModelToy.values(model, "conv4/weight")
        #expect(weights[11 * 576..<12 * 576].allSatisfy { $0 == 0 })
        #expect(ModelToy.values(outcome.parameters, "conv4/bias")[11] == 0)
        #expect(weights[..<(11 * 576)] == before[..<(11 * 576)])
        #expect(ModelToy.values(outcome.parameters, "fc1/weight") == ModelToy.values(model, "fc1/weight"))
        #expect(outcome.passes == 0)
    }

    /// The singular values again, by power iteration on the canonical kernels.
    @Test func lipschitzAgainstPowerIteration() {
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
                #expect(abs(found - sigma) <= 1e-6 * sigma, "\(layer.name) channel \(channel)")
            }
        }
    }
}
