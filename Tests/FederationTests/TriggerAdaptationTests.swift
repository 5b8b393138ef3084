@testable import Attacks
import Datasets
import Network
import Options
import Testing
@testable import Federation

/// A3FL: how malicious clients adapt a trigger's pattern.
@Suite struct TriggerAdaptationTests {
    private static let model = Toy.trained(try! Toy.samples(100), from: Toy.parameters()) { ($0.localEpochs, $0.rate) = (3, 0.05) }.update

    /// Mean cross-entropy of `model` on all images under the pattern, each with the label 0.
    private static func loss(_ model: Parameters, _ samples: Samples, _ mask: [Float], _ pattern: [Float]) -> Double {
        let stamped = samples.triggered(Backdoor(trigger: AdaptedTrigger(mask: mask, pattern: pattern), relabeling: .target(0)))
        let trainer = Trainer(Toy.network, kernels: Toy.kernels)
        trainer.reset(model)
        return trainer.gradient(
            samples.count, load: { stamped.load($0, into: $1) },
            loss: { Loss.crossEntropy($1, classes: Toy.classes, label: 0, batch: samples.count, gradient: $2) })
    }

    /// The gradient of a pixel is what a finite difference says, under a mask of parts, and 0 outside it.
    @Test func gradientOfThePattern() throws {
        let samples = try Toy.samples(32)
        var mask = [Float](repeating: 0, count: 784)
        for k in 300..<420 { mask[k] = k % 2 == 0 ? 1 : 0.5 }
        let pattern = (0..<784).map { Float($0 % 7) / 10 + 0.2 }
        let backdoor = Backdoor(trigger: AdaptedTrigger(mask: mask, pattern: pattern), relabeling: .target(0))
        let search = PatternSearch(samples, backdoor, Self.model, Toy.kernels), gradient = search.gradient(Array(0..<32))
        #expect(gradient.count == 784 && gradient[0] == 0 && gradient[783] == 0)
        let strongest = gradient.indices.sorted { abs(gradient[$0]) > abs(gradient[$1]) }.prefix(5)
        for k in strongest {
            func moved(_ by: Float) -> Double {
                var pattern = pattern
                pattern[k] += by
                return Self.loss(Self.model, samples, mask, pattern)
            }
            let numeric = (moved(0.01) - moved(-0.01)) / 0.02
            #expect(abs(numeric - gradient[k]) < 0.05 * abs(gradient[k]) + 1e-4, "pixel \(k): \(gradient[k]) and \(numeric)")
        }
    }

    /// Adapting lowers the loss of the target under the trigger, stays in [0, 1], and leaves everything outside the mask.
    @Test func theLossFalls() throws {
        let samples = try Toy.samples(64, poisoned: 0.5, "square:8"), backdoor = try #require(samples.backdoor)
        let (mask, pattern) = try #require(backdoor.trigger.overlay)
        var stream = RandomStream(seed: 1, purpose: "test")
        var settings = Settings()
        settings[TriggerAdaptation.passes] = 12
        let adaptation = try #require(TriggerAdaptation(settings))
        let adapted = adaptation.adapted(samples, to: Self.model, Toy.kernels, using: &stream)
        let after = try #require(adapted.backdoor?.trigger.overlay)
        #expect(after.mask == mask && after.pattern.allSatisfy { (0...1).contains($0) } && after.pattern != pattern)
        #expect((0..<784).allSatisfy { mask[$0] > 0 || after.pattern[$0] == pattern[$0] })
        #expect(adapted.poisonedPositions == samples.poisonedPositions)
        let before = Self.loss(Self.model, samples, mask, pattern), now = Self.loss(Self.model, samples, mask, after.pattern)
        #expect(now < before - 0.1, "\(before) to \(now)")
    }
}
