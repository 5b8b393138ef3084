import Attacks
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

/// ANP and Fine-Pruning.
final class ModelDefensesPruningTests: XCTestCase {
    func testAdversarialPruningIsPublishedFromTenThousandImages() {
        let method = AdversarialPruning()
        XCTAssertEqual(method.schedule(10_000), .init(iterations: 2000, batch: 128))
        XCTAssertEqual(method.schedule(2_000), .init(iterations: 750, batch: 16))
        XCTAssertEqual(method.plannedPasses(2_000), 36_000)
    }

    /// A unit of fc1 that sleeps on every image (its weights and its bias cancel) and, awake, makes everything class 0.
    /// Noise wakes it, so its mask falls and it is pruned; the unit's weights go and its bias stays.
    func testAdversarialPruningFindsAPlantedSleeper() throws {
        let model = ModelToy.scaled(0.1), context = ModelToy.context(400), samples = context.synthetic
        let maps = FinePruning.LastConvolution(model, samples, context).activity()
        let weight = 4 / Float(maps.reduce(0, +) * 16)                  // the unit's sum over an average image is 4
        ModelToy.edit(model, "fc1/weight") { for i in 0..<2048 { $0[7 * 2048 + i] = weight } }
        ModelToy.edit(model, "fc1/bias") { $0[7] = -5 }
        ModelToy.edit(model, "fc2/weight") { for k in 0..<5 { $0[k * 128 + 7] = k == 0 ? 4 : 0 } }
        XCTAssertGreaterThan(ModelToy.accuracy(model), 0.95)

        let outcome = try AdversarialPruning().apply(model, context)
        let weights = ModelToy.values(outcome.parameters, "fc1/weight")
        XCTAssertTrue(weights[7 * 2048..<8 * 2048].allSatisfy { $0 == 0 }, "\(outcome.audit)")
        XCTAssertEqual(ModelToy.values(outcome.parameters, "fc1/bias")[7], -5)
        XCTAssertEqual(ModelToy.values(outcome.parameters, "fc2/weight"), ModelToy.values(model, "fc2/weight"))
        XCTAssertGreaterThan(ModelToy.accuracy(outcome.parameters), 0.9, "\(outcome.audit)")
        XCTAssertEqual(outcome.passes, AdversarialPruning().plannedPasses(400))
    }

    func testAccuracyDecidesHowManyChannelsGo() {
        XCTAssertEqual(FinePruning.channels([0.9, 0.9, 0.85, 0.81, 0.79, 0.9], 0.1), 3)
        XCTAssertEqual(FinePruning.channels([0.9, 0.7], 0.1), 0)
        XCTAssertEqual(FinePruning.channels([0.5, 0.6, 0.45], 0.1), 2, "all of them")
    }

    /// The quietest channels go, the loudest stay, tuning does not bring back what went, and accuracy keeps to its limit.
    func testFinePruningTakesTheQuietChannels() throws {
        let model = Parameters(copying: ModelToy.trained), context = ModelToy.context(100)
        let pruning = FinePruning.LastConvolution(model, context.synthetic, context), activity = pruning.activity()
        let order = activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) }
        let outcome = try FinePruning().apply(model, context), left = ModelToy.values(outcome.parameters, "conv6/weight")
        let kept = (0..<128).filter { c in left[c * 1152..<(c + 1) * 1152].contains { $0 != 0 } }
        XCTAssertEqual(kept, order.suffix(kept.count).sorted(), "the loudest stay")
        XCTAssertTrue((1..<128).contains(kept.count), "\(outcome.audit)")
        XCTAssertTrue(order.dropLast(kept.count).allSatisfy { ModelToy.values(outcome.parameters, "conv6/bias")[$0] == 0 })
        XCTAssertGreaterThan(ModelToy.accuracy(outcome.parameters), ModelToy.accuracy(model) - 0.1)

        // Pruned one by one in the whole network, the accuracies are those of the shortcut.
        let predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2), accuracies = pruning.accuracies(order)
        for k in [0, 1, 64, 100, 120, 125, 127, 128] {
            let pruned = HiddenChannels(network: ModelToy.network).pruned(model, Set(order.prefix(k).map { ModelToy.network.boundOffset(.conv6) + $0 }))
            XCTAssertEqual(accuracies[k], accuracyOnLabels(pruned, Bounds(ModelToy.network), context.synthetic, predictor), accuracy: 0.01, "\(k) channels")
        }
    }
}
