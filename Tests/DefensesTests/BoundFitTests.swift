import Attacks
import Datasets
import Network
import XCTest
@testable import Defenses

/// The parts of the bound fit, and the whole on a model with a backdoor.
final class BoundFitTests: XCTestCase {
    /// After whitening the mean of the groups' covariances is the unit matrix, whatever it was.
    func testWhiteningMakesTheSpreadWithinGroupsOne() {
        var stream = RandomStream(seed: 5, purpose: "whitening test")
        let groups = [Array(0..<300), Array(300..<400)]
        let x = (0..<400).map { i -> [Double] in
            let a = stream.normal(), b = stream.normal(), c = stream.normal()
            return [a + (i < 300 ? 9 : 0), 3 * a + 0.5 * b, 100 * c - 2 * b]
        }
        let y = whitened(x, groups: groups, ridge: 0)
        for j in 0..<3 {
            for k in 0..<3 {
                let covariance = groups.reduce(0.0) { sum, group in
                    let mj = group.reduce(0) { $0 + y[$1][j] } / Double(group.count), mk = group.reduce(0) { $0 + y[$1][k] } / Double(group.count)
                    return sum + group.reduce(0) { $0 + (y[$1][j] - mj) * (y[$1][k] - mk) } / Double(group.count) / 2
                }
                XCTAssertEqual(covariance, j == k ? 1 : 0, accuracy: 1e-9)
            }
        }
    }

    /// A discriminant mends a split that is right for most rows only.
    func testDiscriminantMendsASplit() {
        var stream = RandomStream(seed: 6, purpose: "discriminant test")
        let x = (0..<200).map { i in [stream.normal() + (i < 50 ? 8 : 0), stream.normal()] }
        let mended = discriminated(x, (0..<200).map { $0 < 40 || (60..<65).contains($0) })
        XCTAssertEqual(mended, (0..<200).map { $0 < 50 })
    }

    /// Perturbations stay within their norms and the range of pixels, and outside the border.
    func testPerturbationsStayWithinTheirNorms() {
        let samples = ModelToy.samples(50), search = TriggerSearch(samples, classes: 5)
        var stream = RandomStream(seed: 7, purpose: "perturbation test")
        for candidate in 0..<2 {
            for _ in 0..<20 { search.ascend(candidate, (0..<34 * 34).map { _ in Float(stream.normal()) }) }
            var x = [Float](repeating: 0.5, count: 34 * 34)
            x.withUnsafeMutableBufferPointer { search.perturb(candidate, $0.baseAddress!) }
            let moved = x.map { Double($0) - 0.5 }
            XCTAssertTrue(x.allSatisfy { $0 >= 0 && $0 <= 1 })
            for k in moved.indices where !(3..<31).contains(k / 34) || !(3..<31).contains(k % 34) { XCTAssertEqual(moved[k], 0) }
            if search.candidates[candidate].kind == .spread {
                XCTAssertEqual(moved.reduce(0) { $0 + $1 * $1 }.squareRoot(), TriggerSearch.spreadNorm, accuracy: 1e-3)
            } else {
                XCTAssertLessThanOrEqual(moved.reduce(0) { $0 + abs($1) }, TriggerSearch.sparseNorm + 1e-3)
                XCTAssertGreaterThan(moved.filter { $0 == 0 }.count, 34 * 34 / 2)
            }
        }
    }

    /// Poisoned FM data, a model trained on them: screen and search name the class, the suspects are the poisoned
    /// images, and the backdoor goes while accuracy stays.
    func testBackdoorFromPoisonedDataIsFoundAndStopped() throws {
        let shape = ImageShape(channels: 1, side: 28), clean = ModelToy.samples(600)
        let backdoor = Backdoor(trigger: try Triggers.make("patch", shape: shape, seed: 1), relabeling: .target(0))
        var stream = RandomStream(seed: 1, purpose: "bound fit test")
        let poisoned = clean.poisoned(Poisoning(backdoor, fraction: 0.2, cover: 0), using: &stream)
        let context = DefenseContext(synthetic: poisoned, kernels: ModelToy.kernels, threads: 2, seed: 1)
        var training = FineTuning()
        (training.epochs, training.batch, training.sgd.rate) = (6, 16, 0.02)
        let model = try training.train(ModelToy.random(), context).model
        let victims = clean.subset((0..<200).filter { clean.trueLabel($0) != 0 }).triggered(backdoor)
        func success(_ bounds: Bounds) -> Double {
            let predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2)
            let logits = predictor.logits(victims.count, model, bounds) { victims.load($0, into: $1) }
            return Double((0..<victims.count).filter { i in
                (0..<5).allSatisfy { logits[i * 5] >= logits[i * 5 + $0] }
            }.count) / Double(victims.count)
        }
        XCTAssertGreaterThan(success(Bounds()), 0.9)

        let outcome = try BoundFit().apply(model, context), suspects = try XCTUnwrap(outcome.suspects)
        XCTAssertEqual(outcome.audit.first { $0.name == "class that looks attacked" }?.value, "0")
        let right = suspects.filter(poisoned.isPoisoned).count
        XCTAssertGreaterThan(Double(right), 0.9 * Double(suspects.count))
        XCTAssertGreaterThan(Double(right), 0.6 * Double(poisoned.poisonedPositions.count))
        XCTAssertLessThan(success(outcome.bounds), 0.1)
        XCTAssertGreaterThan(ModelToy.accuracy(model, outcome.bounds), ModelToy.accuracy(model) - 0.03)
    }

    /// On clean data and a clean model nothing is set aside.
    func testNothingIsFoundWhereNothingIs() throws {
        let outcome = try BoundFit().apply(ModelToy.trained, ModelToy.context(600))
        XCTAssertEqual(outcome.suspects, [])
        XCTAssertGreaterThan(ModelToy.accuracy(ModelToy.trained, outcome.bounds), ModelToy.accuracy(ModelToy.trained) - 0.03)
    }
}
