import Datasets
import Glibc
import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// MMAC, the images it is made of, and MM-BD.
@Suite struct ModelDefensesMarginTests {
    @Test func scheduleIsPublishedFromTenThousandImages() {
        let method = MaximumMarginClipping(), few = method.schedule(2_000, classes: 10)
        #expect(
            method.schedule(10_000, classes: 10)
                == .init(steps: 900, batch: 200, sets: 3, margins: .init(perClass: 50, steps: 300, rate: 0.01)))
        #expect(few == .init(steps: 225, batch: 50, sets: 1, margins: .init(perClass: 20, steps: 75, rate: 0.04)))
        #expect(few.passes(2_000, classes: 10) < 30_000)
        #expect(method.schedule(2_000, classes: 100).passes(2_000, classes: 100) < 40_000)
    }

    /// Logit k is k times the sum of the 16 pools that one path leaves of the image: the margin of the last class grows with
    /// every pixel, that of the first falls.
    private func brightness() -> Parameters {
        let model = Parameters(ModelToy.network)
        ModelToy.edit(model, "conv1/weight") { $0[4] = 1 }  // the pixel itself, in channel 0
        for name in ["conv2", "conv3", "conv4", "conv5", "conv6"] { ModelToy.edit(model, "\(name)/weight") { $0[4] = 1 } }
        ModelToy.edit(model, "fc1/weight") { for pixel in 0..<16 { $0[pixel] = 1 } }
        ModelToy.edit(model, "fc2/weight") { for k in 0..<5 { $0[k * 128] = Float(k) } }
        return model
    }

    private func trainer(_ model: Parameters) -> Trainer {
        let trainer = Trainer(ModelToy.network, kernels: ModelToy.kernels, lanes: Trainer.serverLanes, threads: 2)
        trainer.reset(model)
        trainer.prepareForBounds()
        return trainer
    }

    @Test func marginImagesClimb() {
        let trainer = trainer(brightness()), images = MarginImages(classes: 5, perClass: 3, side: 28, Normalization(mean: [0], std: [0.5]))
        var stream = RandomStream(seed: 1, purpose: "margin test")
        images.draw(&stream)
        #expect(abs(images.pixels.values.reduce(0, +) / Float(images.pixels.count) - 0.5) <= 0.02)
        images.ascend(trainer, steps: 100, rate: 0.05)
        // The image's 4 x 4 largest pixels of 8 x 8 count, each 1 / 0.5 = 2: margin of class 4 over class 3 when white.
        for i in 12..<15 { #expect(abs(images.margins.base[i] - 16 * 2) <= 1e-3) }
        for i in 0..<3 { #expect(images.margins.base[i] < 0) }
        #expect(trainer.sum.bounds.values.allSatisfy { $0 == 0 }, "left as found")
    }

    /// One class's margin is unlimited through a planted unit; MMAC takes it away and keeps what the images need.
    @Test func clippingTakesThePlantedMarginAway() throws {
        let model = ModelToy.scaled(0.1)
        ModelToy.edit(model, "fc2/weight") { $0[3 * 128 + 9] = 4 }  // unit 9 speaks for class 3 ...
        ModelToy.edit(model, "fc1/weight") { for i in 0..<2048 { $0[9 * 2048 + i] = 0.02 } }  // ... on far more than clean images show
        let context = ModelToy.context(300), maps = FinePruning.LastConvolution(model, context.synthetic, context).activity()
        ModelToy.edit(model, "fc1/bias") { $0[9] = -0.02 * 16 * 1.6 * Float(maps.reduce(0, +)) }
        #expect(ModelToy.accuracy(model) > 0.95)

        let outcome = try MaximumMarginClipping().apply(model, context)
        let z = outcome.bounds
        #expect(z.buffer.values.allSatisfy { $0 >= 0 && $0.isFinite })
        #expect(ModelToy.accuracy(model, z) > 0.9, "\(outcome.audit)")
        #expect(Array(outcome.parameters.buffer.values) == Array(model.buffer.values))

        let trainer = trainer(model), images = MarginImages(classes: 5, perClass: 10, side: 28, context.synthetic.normalization)
        var stream = RandomStream(seed: 2, purpose: "margin test")
        images.draw(&stream)
        images.ascend(trainer, steps: 75, rate: 0.04)
        let before = images.largest(of: 10)[3]
        trainer.bounds.buffer.copy(from: z.buffer)
        images.ascend(trainer, steps: 1, rate: 0)
        let after = images.largest(of: 10)[3]
        #expect(after < before / 2, "\(outcome.audit)")
    }

    /// Closed forms: an exponential's tail, an Erlang's, a half-integer shape's gamma function, and the recurrences.
    @Test func gammaFunctions() {
        let wave = GammaDistribution(shape: 1, scale: 2), erlang = GammaDistribution(shape: 3, scale: 1)
        for x in [0.1, 1, 5, 30, 200] {
            let e = wave.tail(2 * x), t = erlang.tail(x)
            #expect(abs(e / Double.exponential(-x) - 1) <= 1e-12)
            #expect(abs(t / (Double.exponential(-x) * (1 + x + x * x / 2)) - 1) <= 1e-12)
        }
        #expect(wave.tail(0) == 1)
        #expect(abs(logGamma(0.5) - 0.5723649429247001) <= 1e-14)  // log sqrt(pi)
        #expect(abs(logGamma(171) - 706.5730622457874) <= 1e-11)  // log 170!
        #expect(abs(digamma(1) - -0.5772156649015329) <= 1e-14)
        #expect(abs(trigamma(1) - 1.6449340668482264) <= 1e-14)  // pi^2 / 6
        for x in [0.01, 0.7, 3, 9.99, 10, 1e4] {
            #expect(abs(digamma(x + 1) - digamma(x) - 1 / x) <= 1e-12 / x + 1e-14)
            #expect(abs(trigamma(x) - trigamma(x + 1) - 1 / (x * x)) <= 1e-12 / (x * x) + 1e-14)
        }
    }

    @Test func detection() throws {
        let alike = MaximumMarginDetection([10, 11, 9.5, 10.4, 9.9, 10.8, 10.1, 9.7, 10.3, 10.6])
        #expect(!alike.detected)
        let one = MaximumMarginDetection([10, 11, 9.5, 10.4, 9.9, 25, 10.1, 9.7, 10.3, 10.6])
        #expect(one.detected)
        #expect(one.suspect == 5)
        #expect(try #require(one.p) < 1e-9)
        #expect(MaximumMarginDetection([1, 2]).p == nil, "two classes")
        #expect(MaximumMarginDetection([1, 2, -1, 4]).p == nil, "a margin below 0")
        #expect(MaximumMarginDetection([1, 1, 1, 2]).detected, "others equal")
        #expect(alike.findings(.init(perClass: 10, steps: 75, rate: 0.04)).contains { $0.value.contains("none detected") })
        #expect(abs(MaximumMarginDetection.exceeded(0.5, 2) - 0.75) <= 1e-15)
        #expect(abs(MaximumMarginDetection.exceeded(1e-9, 10) - 1e-8) <= 1e-15)
    }
}

extension Double {
    /// e^x by libm, for comparison.
    static func exponential(_ x: Double) -> Double { Glibc.exp(x) }
}
