import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// MM-BM: bounds that keep the logits and are small.
@Suite struct ModelDefensesBoundsTests {
    @Test func scheduleIsPublishedFromTenThousandImages() {
        let method = MaximumMarginBounds()
        #expect(method.schedule(10_000) == .init(epochs: 50, batch: 200, steps: 2500))
        #expect(method.schedule(1_000) == .init(epochs: 7, batch: 28, steps: 250))
        #expect(method.margins(10_000, classes: 10) == .init(perClass: 30, steps: 300, rate: 0.01))
        let both = 7000.0 + 10 * 10 * 75  // images in the fit, in the ascent of MM-BD
        #expect(abs(method.plannedPasses(1_000) - (1000.0 / 3 + both * 2 / 3)) <= 0.5)
    }

    /// A channel that never fires has no say in the logits: only the penalty moves its bound, by about 0.1 a step, to 0.
    @Test func deadChannelShrinksToZeroAndLiveOnesKeepThePredictions() throws {
        let model = ModelToy.scaled(0.1)
        ModelToy.edit(model, "conv3/weight") { values in for i in 5 * 288..<6 * 288 { values[i] = 0 } }
        ModelToy.edit(model, "conv3/bias") { $0[5] = -1 }
        let outcome = try MaximumMarginBounds().apply(model, ModelToy.context(600))
        let z = Array(outcome.bounds.buffer.values)
        #expect(z.allSatisfy { $0 >= 0 && $0.isFinite })
        #expect(outcome.bounds[.conv3][5] < 0.01)
        #expect(z.contains { $0 > 0.1 })
        #expect(ModelToy.accuracy(model, outcome.bounds) > 0.95)
        #expect(Array(outcome.parameters.buffer.values) == Array(model.buffer.values))
    }

    /// Activations of the plain toy reach 84: at z = 8 accuracy is lost before any fit, so z starts where nothing is cut.
    @Test func startsAboveTheActivations() throws {
        let eight = Bounds(ModelToy.network)
        eight.buffer.fill(8)
        #expect(ModelToy.accuracy(ModelToy.trained, eight) < 0.85)
        let outcome = try MaximumMarginBounds().apply(ModelToy.trained, ModelToy.context(600))
        #expect(ModelToy.accuracy(ModelToy.trained, outcome.bounds) > 0.95)
    }

    /// A penalty that outweighs the logits brings every bound to 0; the cost is then lowered until the predictions stay.
    @Test func costIsLoweredUntilPredictionsStay() throws {
        var method = MaximumMarginBounds()
        method.cost = 500
        let model = ModelToy.scaled(0.1), outcome = try method.apply(model, ModelToy.context(600))
        #expect(ModelToy.accuracy(model, outcome.bounds) > 0.95)
        let attempts = try #require(outcome.audit.first { $0.name.hasPrefix("cost at first") }?.value)
        #expect(!attempts.contains(" 1 ("), Comment(rawValue: attempts))
    }

    /// Where nothing is cut the gradient is the penalty's, nearly constant: Adam moves every bound by the rate in a step.
    @Test func penaltyAloneMovesByTheRate() throws {
        var method = MaximumMarginBounds()
        method.rate = 0.01 / 3
        method.start = 1000
        let outcome = try method.apply(ModelToy.trained, ModelToy.context(50))
        let steps = Double(method.schedule(50).steps)
        for z in outcome.bounds.buffer.values {
            #expect(abs(Double(z) - (1000 - steps * method.rate)) <= 0.05 * steps * method.rate)
        }
    }
}
