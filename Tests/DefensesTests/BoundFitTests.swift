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
        var y = x
        whiten(&y, groups: groups, ridge: 0)
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

    /// Squares cover the whole image and nothing else, and the perturbation that starts a search makes the same image.
    func testSquaresCoverTheImage() {
        let samples = ModelToy.samples(10), scan = PatchScan(samples), search = TriggerSearch(samples, classes: 5)
        let candidate = search.candidates.firstIndex { $0.target == 1 && $0.kind == .sparse } ?? 0
        var covered = Set<Int>()
        for square in scan.squares {
            var stamped = [Float](repeating: 0.5, count: 34 * 34), perturbed = stamped
            stamped.withUnsafeMutableBufferPointer { scan.stamp(square, $0.baseAddress!) }
            search.start(1, scan.perturbation(square))
            perturbed.withUnsafeMutableBufferPointer { search.perturb(candidate, $0.baseAddress!) }
            XCTAssertEqual(stamped, perturbed)
            let changed = stamped.indices.filter { stamped[$0] != 0.5 }
            XCTAssertEqual(changed.count, scan.side * scan.side)
            covered.formUnion(changed)
        }
        XCTAssertEqual(covered, Set((3..<31).flatMap { y in (3..<31).map { y * 34 + $0 } }))
    }

    /// Each class gets the square that its logits answer to, the second look deciding between near ones.
    func testTheScanFindsTheSquareOfEachClass() {
        let scan = PatchScan(ModelToy.samples(10)), images = Array(0..<40), wanted = [3, 60, 200, 337]
        let best = scan.best(classes: 4, images: images, predictions: images.map { $0 % 4 }) { pairs in
            pairs.flatMap { pair in
                (0..<4).map { target -> Float in
                    let noise = Float(pair.image % 3) - 1, hit = pair.square == scan.squares[wanted[target]]
                    return (pair.image % 4 == target ? 5 : 0) + (hit ? 9 : 0) + noise
                }
            }
        }
        XCTAssertEqual(best, wanted.map { scan.squares[$0] })
    }

    /// A backdoor that the FM data do not show (malicious clients): the search names the class, nothing is set aside, and
    /// the success rate falls far.
    func testBackdoorThatTheDataDoNotShowIsFound() throws {
        let backdoor = try backdoor(), clean = ModelToy.samples(600)
        let model = try poisonedModel(backdoor).model, before = success(model, Bounds(), backdoor)
        XCTAssertGreaterThan(before, 0.9)
        let outcome = try BoundFit().apply(model, ModelToy.context(clean.count))
        XCTAssertEqual(outcome.audit.first { $0.name == "class that looks attacked" }?.value, "0")
        XCTAssertEqual(outcome.suspects, [])
        XCTAssertLessThan(success(model, outcome.bounds, backdoor), 0.2)
        XCTAssertGreaterThan(ModelToy.accuracy(model, outcome.bounds), ModelToy.accuracy(model) - 0.03)
    }

    /// Poisoned FM data, a model trained on them: screen and search name the class, the suspects are the poisoned
    /// images, and the backdoor goes while accuracy stays.
    func testBackdoorFromPoisonedDataIsFoundAndStopped() throws {
        let backdoor = try backdoor(), (model, context) = try poisonedModel(backdoor), poisoned = context.synthetic
        XCTAssertGreaterThan(success(model, Bounds(), backdoor), 0.9)

        let outcome = try BoundFit().apply(model, context), suspects = try XCTUnwrap(outcome.suspects)
        XCTAssertEqual(outcome.audit.first { $0.name == "class that looks attacked" }?.value, "0")
        let right = suspects.filter(poisoned.isPoisoned).count
        XCTAssertGreaterThan(Double(right), 0.9 * Double(suspects.count))
        XCTAssertGreaterThan(Double(right), 0.6 * Double(poisoned.poisonedPositions.count))
        XCTAssertLessThan(success(model, outcome.bounds, backdoor), 0.1)
        XCTAssertGreaterThan(ModelToy.accuracy(model, outcome.bounds), ModelToy.accuracy(model) - 0.03)
    }

    /// The screen needs no picture of the trigger: one blended over the whole image and one of four parts are found, in the
    /// class they lead to and no other, with the images that carry them.
    func testTheScreenFindsTriggersOfAnyShape() throws {
        for trigger in ["blend", "dba"] {
            let (model, context) = try poisonedModel(backdoor(trigger)), samples = context.synthetic
            let predictor = Predictor(model.network, kernels: ModelToy.kernels, threads: 2), activations = Activations(model, samples, predictor)
            let screen = Screen(activations, samples, seed: 1, threads: 2) { predictor.logits($0, model, Bounds(), load: $1) }
            XCTAssertEqual(screen.scores.indices.filter { (screen.scores[$0] ?? 0) >= Screen.poisonedFrom }, [0], trigger)
            let right = screen.suspects[0].filter(samples.isPoisoned).count
            XCTAssertGreaterThan(Double(right), 0.9 * Double(screen.suspects[0].count), trigger)
            XCTAssertGreaterThan(Double(right), 0.8 * Double(samples.poisonedPositions.count), trigger)
        }
    }

    /// On clean data and a clean model nothing is set aside.
    func testNothingIsFoundWhereNothingIs() throws {
        let outcome = try BoundFit().apply(ModelToy.trained, ModelToy.context(600))
        XCTAssertEqual(outcome.suspects, [])
        XCTAssertGreaterThan(ModelToy.accuracy(ModelToy.trained, outcome.bounds), ModelToy.accuracy(ModelToy.trained) - 0.03)
    }

    /// A variant differs from the fit in its name and in one other field.
    func testVariantsChangeOneThing() throws {
        func fields(_ fit: BoundFit) -> [String] { Mirror(reflecting: fit).children.map { "\($0.label ?? "") \($0.value)" } }
        for variant in BoundVariants.all {
            let fit = try XCTUnwrap(BoundVariants.make(variant.name))
            XCTAssertEqual(zip(fields(fit), fields(BoundFit())).filter { $0 != $1 }.count, 2, variant.name)
            XCTAssertEqual(fit.label, variant.name)
            XCTAssertEqual(ModelDefenses.make(variant.name)?.label, variant.name)
        }
        XCTAssertEqual(Set(BoundVariants.all.map(\.name)).count, BoundVariants.all.count)
        XCTAssertEqual(Set(BoundVariants.all.map(\.title)).count, BoundVariants.all.count)
        XCTAssertNil(ModelDefenses.make("bounds:unknown"))
    }

    /// One bound a layer: its gradient is the sum of its channels', so that all move alike from the largest start.
    func testOneBoundALayer() throws {
        var fit = BoundFit()
        (fit.perLayer, fit.screens) = (true, false)
        let bounds = try fit.apply(ModelToy.trained, ModelToy.context(60)).bounds
        for layer in Layer.allCases { XCTAssertEqual(Set(bounds[layer]).count, 1, layer.name) }
        XCTAssertGreaterThan(ModelToy.accuracy(ModelToy.trained, bounds), 0.9)
    }

    private func backdoor(_ trigger: String = "patch") throws -> Backdoor {
        Backdoor(trigger: try Triggers.make(trigger, shape: ImageShape(channels: 1, side: 28), seed: 1), relabeling: .target(0))
    }

    /// A model trained on data a fifth of which is poisoned, and what a defence with these data has.
    private func poisonedModel(_ backdoor: Backdoor) throws -> (model: Parameters, context: DefenseContext) {
        var stream = RandomStream(seed: 1, purpose: "bound fit test")
        let poisoned = ModelToy.samples(600).poisoned(Poisoning(backdoor, fraction: 0.2, cover: 0), using: &stream)
        let context = DefenseContext(synthetic: poisoned, kernels: ModelToy.kernels, threads: 2, seed: 1)
        var training = FineTuning()
        (training.epochs, training.batch, training.sgd.rate) = (6, 16, 0.02)
        return (try training.train(ModelToy.random(), context).model, context)
    }

    /// The share of triggered images of other classes that go to class 0.
    private func success(_ model: Parameters, _ bounds: Bounds, _ backdoor: Backdoor) -> Double {
        let clean = ModelToy.samples(600), victims = clean.subset((0..<200).filter { clean.trueLabel($0) != 0 }).triggered(backdoor)
        let predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2)
        let logits = predictor.logits(victims.count, model, bounds) { victims.load($0, into: $1) }
        return Double((0..<victims.count).filter { i in
            (0..<5).allSatisfy { logits[i * 5] >= logits[i * 5 + $0] }
        }.count) / Double(victims.count)
    }
}
