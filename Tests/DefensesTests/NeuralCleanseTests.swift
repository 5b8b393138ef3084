import Attacks
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

/// Neural Cleanse and its search for triggers.
@Suite struct NeuralCleanseTests {
    /// Median 10, deviations 1 0 1 0 8, of which the median is 1: the index of 2 is 8 / 1.4826.
    @Test func aSmallMaskStandsOut() {
        let found = NeuralCleanse().outliers([11, 10, 9, 10, 2])
        #expect(found.map(\.label) == [4])
        #expect(abs(found[0].index - 8 / 1.4826) <= 1e-12)
        #expect(NeuralCleanse().outliers([11, 10, 9, 10, 18]).isEmpty, "a large one does not")
        #expect(NeuralCleanse().outliers([5, 5, 5, 5, 1]).isEmpty, "no deviation, no index")
    }

    @Test func triggerIsLaidOn() {
        var pixels: [Float] = [0.2, 0.4, 0.6, 0.8, 0.1, 0.3, 0.5, 0.7]  // two channels
        TriggerReversal.Trigger(mask: [0, 1, 0.5, 0], pattern: [1, 1, 1, 1, 0, 0, 0, 0]).stamp(&pixels)
        for (a, b) in zip(pixels, [0.2, 1, 0.8, 0.8, 0.1, 0, 0.25, 0.7] as [Float]) { #expect(abs(a - b) <= 1e-6) }
        #expect(TriggerReversal.Trigger(mask: [0, 1, 0.5, 0], pattern: []).norm == 1.5)
        #expect(TriggerReversal.inverse(0.5) == 0)
        #expect(abs(1 / (1 + exp(-2 * TriggerReversal.inverse(0.3))) - 0.3) <= 1e-12)
    }

    /// 0 for the first five successes, 0.001, twice that after five, and down by 2^1.5 after five failures.
    @Test func costFollowsSuccess() {
        var cost = TriggerReversal.Cost(.init(steps: 100))
        var path: [Double] = []
        for share in [Double](repeating: 1, count: 9) + [Double](repeating: 0.5, count: 5) {
            cost.finish(share, best: nil)
            path.append(cost.value)
        }
        let expected = [0, 0, 0, 0, 1e-3, 1e-3, 1e-3, 1e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3, 2e-3 / (2 * 2.0.squareRoot())]
        for (a, b) in zip(path, expected) { #expect(abs(a - b) <= 1e-12, "\(path)") }
        for _ in 0..<25 {
            #expect(!cost.isOver)
            cost.finish(0.5, best: 7)
        }
        cost.finish(0.5, best: 7)
        #expect(cost.isOver, "risen, fallen, and 25 times no better")
    }

    /// A model that goes to class 0 where the last rows are bright: the mask of class 0 is by far the smallest, and after unlearning under
    /// the right labels the trigger does nothing.
    @Test func aBackdoorIsReversedAndUnlearnt() throws {
        let clean = ModelToy.samples(300)
        let backdoor = Backdoor(trigger: try PatchTrigger(shape: clean.shape, size: 5), relabeling: .target(0))
        var stream = RandomStream(seed: 2, purpose: "cleanse test"), context = ModelToy.context(300), training = FineTuning()
        context.synthetic = clean.poisoned(Poisoning(backdoor, fraction: 0.2), using: &stream)
        (training.epochs, training.batch, training.sgd.rate) = (6, 16, 0.02)
        let model = try training.train(ModelToy.trained, context).model
        func success(_ model: Parameters) -> Double {
            let others = clean.subset((0..<300).filter { clean.label($0) != 0 }).triggered(backdoor)
            return accuracyOnLabels(model, Bounds(model.network), others, Predictor(model.network, kernels: ModelToy.kernels, threads: 2))
        }
        #expect(success(model) > 0.9)

        var method = NeuralCleanse()
        (method.tuning.epochs, method.reversal.steps, method.index) = (3, 60, 1)  // five norms that differ much: the smallest has 1.06
        let outcome = try method.apply(model, ModelToy.context(300))
        let norms =
            outcome.audit.first { $0.name == "norms of the masks per class" }?.value.split(separator: " ").compactMap { Double($0) } ?? []
        #expect(norms.firstIndex(of: norms.min() ?? 0) == 0, "\(outcome.audit)")
        #expect(outcome.audit.first { $0.name == "classes that stand out" }?.value.hasPrefix("0 (index") == true, "\(outcome.audit)")
        #expect(success(outcome.parameters) < 0.2)
        #expect(ModelToy.accuracy(outcome.parameters) > ModelToy.accuracy(model) - 0.03)

        (method.index, method.reversal.steps) = (1000, 2)
        let left = try method.apply(model, ModelToy.context(60))
        #expect(left.audit.first { $0.name == "classes that stand out" }?.value == "none: the model stays")
        #expect(left.parameters.buffer.array == model.buffer.array)
    }
}
