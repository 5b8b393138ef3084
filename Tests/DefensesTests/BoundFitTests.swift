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
        let range = PixelRange(ModelToy.samples(50))
        var stream = RandomStream(seed: 7, purpose: "perturbation test")
        for (kind, limit) in [(Perturbation.Kind.spread, DetectionSettings.spreadNorm), (.sparse, DetectionSettings.sparseNorm)] {
            var perturbation = perturbation(kind, 0, limit: limit)
            for _ in 0..<20 { perturbation.ascend((0..<34 * 34).map { _ in Float(stream.normal()) }, range) }
            var x = [Float](repeating: 0.5, count: 34 * 34)
            x.withUnsafeMutableBufferPointer { range.add(perturbation.values, to: $0.baseAddress!) }
            let moved = x.map { Double($0) - 0.5 }
            XCTAssertTrue(x.allSatisfy { $0 >= 0 && $0 <= 1 })
            for k in moved.indices where !(3..<31).contains(k / 34) || !(3..<31).contains(k % 34) { XCTAssertEqual(moved[k], 0) }
            if kind == .spread {
                XCTAssertEqual(moved.reduce(0) { $0 + $1 * $1 }.squareRoot(), limit, accuracy: 1e-3)
            } else {
                XCTAssertLessThanOrEqual(moved.reduce(0) { $0 + abs($1) }, limit + 1e-3)
                XCTAssertGreaterThan(moved.filter { $0 == 0 }.count, 34 * 34 / 2)
            }
        }
    }

    /// Squares make 4x4 pixels black or white whatever was there, and cover the whole image and nothing else.
    func testSquaresCoverTheImage() {
        let samples = ModelToy.samples(10), scan = TriggerScan(samples), range = PixelRange(samples)
        var covered = Set<Int>()
        for square in scan.patterns(.sparse) {
            let before = (0..<34 * 34).map { range.inside[$0] ? Float($0 % 7) / 7 : 0 }
            var after = before
            after.withUnsafeMutableBufferPointer { range.add(scan.perturbation(square), to: $0.baseAddress!) }
            let changed = scan.perturbation(square).indices.filter { scan.perturbation(square)[$0] != 0 }
            XCTAssertEqual(changed.count, scan.side * scan.side)
            XCTAssertEqual(Set(changed.map { after[$0] }).count, 1)
            XCTAssertTrue(after[changed[0]] == 0 || after[changed[0]] == 1)
            covered.formUnion(changed)
        }
        XCTAssertEqual(covered, Set((3..<31).flatMap { y in (3..<31).map { y * 34 + $0 } }))
    }

    /// Every wave once: norm 3, no two alike, at right angles to most others; SIG's stripes are one of them.
    func testWavesAreTheFourierBasis() throws {
        let samples = ModelToy.samples(10), scan = TriggerScan(samples), range = PixelRange(samples)
        let waves = scan.patterns(.spread).map { scan.perturbation($0) }
        XCTAssertEqual(waves.count, 2 * 98)                  // 197 pairs of whole numbers within 8 of (0, 0), half of them without that
        for wave in waves { XCTAssertEqual(range.norm(wave), 3, accuracy: 1e-5) }
        func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0 * $1.1) } / 9 }
        for k in 1..<waves.count { XCTAssertEqual(product(waves[0], waves[k]), 0, accuracy: 1e-5) }
        let sig = try XCTUnwrap(scan.patterns(.spread).firstIndex(of: .wave(across: 6, down: 0, cosine: false)))
        var striped = [Float](repeating: 0.5, count: 784)
        striped.withUnsafeMutableBufferPointer { SIGTrigger(shape: ImageShape(channels: 1, side: 28), seed: 1).stamp($0.baseAddress!) }
        let stripes = (0..<34 * 34).map { range.inside[$0] ? striped[($0 / 34 - 3) * 28 + $0 % 34 - 3] - 0.5 : 0 }
        XCTAssertEqual(product(waves[sig], stripes) * 3 / range.norm(stripes), 1, accuracy: 1e-5)
    }

    /// Each class gets the pattern that its logits answer to, the second look deciding between near ones. A pattern that several
    /// classes look at again is taken once; of ten times as many patterns, as colour images have, each is laid on four images.
    func testTheScanFindsThePatternOfEachClass() {
        let scan = TriggerScan(ModelToy.samples(10)), images = Array(0..<60), wanted = [3, 60, 120, 190]
        let passes = [(times: 1, first: 8, again: 4 + 3), (times: 10, first: 4, again: 4 * 4)]
        for (kind, (times, first, again)) in Perturbation.Kind.allCases.flatMap({ kind in passes.map { (kind, $0) } }) {
            let patterns = (0..<times).flatMap { _ in scan.patterns(kind) }, answers = wanted.map { scan.perturbation(patterns[$0]) }
            var forwards = 0
            let best = scan.best(of: patterns, classes: 4, images: images, isOther: { $0 % 4 != $1 }, forwards: &forwards, logits: { pairs in
                pairs.flatMap { pair in
                    (0..<4).map { target -> Float in
                        let noise = Float(pair.image % 3) - 1, hit = pair.perturbation == answers[target]
                        return (pair.image % 4 == target ? 5 : 0) + (hit ? 9 : 0) + noise
                    }
                }
            })
            XCTAssertEqual(best.map(\.pattern), wanted.map { patterns[$0] })
            XCTAssertTrue(best.allSatisfy { $0.margin > 0 })
            XCTAssertEqual(forwards, patterns.count * first + again * 48)
        }
    }

    /// A start that stands out more than what the ascent made of it is what was found.
    func testAStartThatStandsOutIsKept() {
        let starts = all().map { FoundTriggers.Judged(perturbation: $0, score: $0.target == 3 ? 4 : -2) }
        let found = FoundTriggers(amongClasses: starts, all(values: 0.02), margins: starts.map { _ in 1 })
        for judged in found.all {
            let isAttacked = judged.perturbation.target == 3
            XCTAssertEqual(judged.score >= DetectionSettings.deviations, isAttacked)
            XCTAssertEqual(judged.perturbation.values[500] == 0.01, isAttacked)
            guard judged.perturbation.kind == .spread else { continue }
            XCTAssertEqual(judged.perturbation.limit, isAttacked ? DetectionSettings.spreadNormFromStart : DetectionSettings.spreadNormInFit)
        }
        XCTAssertEqual(found.evidence.map(\.target), [3, 3])
    }

    /// Two thirds of the largest score, and the least.
    func testClassesStandOut() {
        func standingOut(_ scores: [Double]) -> [Int] {
            FoundTriggers(all(classes: scores.count).map { .init(perturbation: $0, score: scores[$0.target]) }, besideTwin: true).standingOut
        }
        XCTAssertEqual(standingOut([2.3, 0.3, 2.1, 0.5]), [0, 2])
        XCTAssertEqual(standingOut([2.3, 1.5, 1.0, 0]), [0])
        XCTAssertEqual(standingOut([1.0, 0, 0]), [])
    }

    /// Margins below -3 count as -3, in both models.
    func testTheContrastOfAnImage() {
        XCTAssertEqual(FoundTriggers.contrast(2, -1), 3)
        XCTAssertEqual(FoundTriggers.contrast(-4, -9), 0)
        XCTAssertEqual(FoundTriggers.contrast(-5, 1), -4)
    }

    /// What turns more than a quarter as many images in the twin is none of what clients planted.
    func testAWeaknessOfBothModelsHasNoContrast() {
        func contrast(_ model: Int, _ twin: Int) -> Double { FoundTriggers.contrast(of: (0..<20).map { ($0 < model ? 2 : -3, $0 < twin ? 1 : -3) }) }
        XCTAssertEqual(contrast(8, 2), (8 * 5 - 2 * 4) / 20)
        XCTAssertEqual(contrast(8, 3), 0)
        XCTAssertEqual(contrast(0, 0), 0)
        XCTAssertEqual(FoundTriggers.contrast(of: []), 0)
    }

    /// The better of start and ascent is kept; what did not ascend is what it started from.
    func testContrastsAreSettled() {
        var found = FoundTriggers(all().enumerated().map { .init(perturbation: $1, score: Double($0) / 2) }, besideTwin: true)
        let ascended = all(values: 0.02)
        found.settle([1, 9], [.init(perturbation: ascended[1], score: 4), .init(perturbation: ascended[9], score: 0)])
        XCTAssertEqual(found.all.map(\.score), [0, 4, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5])
        XCTAssertEqual(found.all[1].perturbation.values[500], 0.02)
        XCTAssertEqual(found.all[9].perturbation.values[500], 0.01)
        XCTAssertEqual(found.scoresOfClasses, [4, 1.5, 2.5, 3.5, 4.5])
        XCTAssertEqual(found.standingOut, [0, 3, 4])
        XCTAssertEqual(found.evidence.first, ascended[1])
        found.correct(9, 1)
        XCTAssertEqual(found.evidence.filter { $0.target == 4 }.map(\.kind), [.spread])
        let spread = found.indices { $0.kind == .spread }
        found.settle(apart: spread, spread.map { .init(perturbation: ascended[$0], score: $0 == 0 ? 6 : 1.5) })
        XCTAssertEqual(spread.map { found.all[$0].score }, [6, 1, 2, 3, 4], "1.5 is what all the others come to")
        XCTAssertEqual(spread.map { found.all[$0].perturbation.values[500] == 0.01 }, [false, true, true, true, true])
    }

    private func perturbation(_ kind: Perturbation.Kind, _ value: Float, target: Int = 0, limit: Double = 3) -> Perturbation {
        Perturbation(target: target, kind: kind, values: [Float](repeating: value, count: 34 * 34), limit: limit)
    }

    /// One of each kind for every class.
    private func all(classes: Int = 5, values: Float = 0.01) -> [Perturbation] {
        (0..<classes).flatMap { target in Perturbation.Kind.allCases.map { perturbation($0, values, target: target) } }
    }

    /// With the model before the clients trained: what they planted is found. What that model has, too, is none of theirs, and with one
    /// that has learnt nothing classes are compared instead.
    func testWhatTheTwinHasIsNoBackdoorOfClients() throws {
        let backdoor = try backdoor(), clean = ModelToy.context(600)
        var training = FineTuning()
        (training.epochs, training.batch, training.sgd.rate) = (6, 16, 0.02)
        let model = try training.train(ModelToy.trained, poisonedData(backdoor)).model
        XCTAssertGreaterThan(success(model, Bounds(model.network), backdoor), 0.9)
        func attacked(_ initial: Parameters) throws -> [String?] {
            var context = clean
            context.initial = initial
            let audit = try BoundFit().apply(model, context).audit
            return [audit.first { $0.name == "class that looks attacked" }?.value,
                    audit.first { $0.name.hasPrefix("trigger search per class") }.map { $0.name.contains("contrast") ? "contrast" : "deviations" }]
        }
        XCTAssertEqual(try attacked(ModelToy.trained), ["0", "contrast"])
        XCTAssertEqual(try attacked(model), ["none", "contrast"])
        XCTAssertEqual(try attacked(ModelToy.random()), ["0", "deviations"])
    }

    /// Taught on clean FM images, the twin comes to what the model makes of them, and not to what a trigger makes of it; one that has
    /// learnt nothing before is none.
    func testTheTwinLearnsWhatImagesTeachAndNotTheTrigger() throws {
        let backdoor = try backdoor(), context = ModelToy.context(600), samples = context.synthetic
        var training = FineTuning()
        (training.epochs, training.batch, training.sgd.rate) = (1, 16, 0.02)
        let initial = try training.train(ModelToy.random(), ModelToy.context(60)).model, model = try poisonedModel(backdoor).model
        let predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2), subject = Examined(model, context)
        var passes = 0.0
        func agreement(_ other: Parameters) -> Double {
            let logits = predictor.logits(samples.count, other, Bounds(other.network)) { samples.load($0, into: $1) }
            return Double(zip(Loss.predictions(logits, classes: 5), subject.activations.predictions).count { $0 == $1 }) / Double(samples.count)
        }
        let twin = try XCTUnwrap(Twin(initial, of: subject, Array(0..<samples.count), passes: &passes))
        XCTAssertLessThan(agreement(initial), 0.9)
        XCTAssertGreaterThan(agreement(twin.trainer.parameters), 0.98)
        XCTAssertGreaterThan(success(model, Bounds(model.network), backdoor), 0.9)
        XCTAssertLessThan(success(twin.trainer.parameters, Bounds(ModelToy.network), backdoor), 0.1)
        XCTAssertEqual(passes, Double(DetectionSettings.twinLeastSteps * DetectionSettings.twinBatch) + 2 * Double(DetectionSettings.twinImages) / 3, accuracy: 1e-9)
        XCTAssertNil(Twin(ModelToy.random(), of: subject, Array(0..<samples.count), passes: &passes))
    }

    /// A backdoor that the FM data do not show (malicious clients): the search names the class, nothing is set aside, and
    /// the success rate falls far.
    func testBackdoorThatTheDataDoNotShowIsFound() throws {
        let backdoor = try backdoor(), clean = ModelToy.samples(600)
        let model = try poisonedModel(backdoor).model, before = success(model, Bounds(model.network), backdoor)
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
        XCTAssertGreaterThan(success(model, Bounds(model.network), backdoor), 0.9)

        let outcome = try BoundFit().apply(model, context), suspects = try XCTUnwrap(outcome.suspects)
        XCTAssertEqual(outcome.audit.first { $0.name == "class that looks attacked" }?.value, "0")
        let right = suspects.filter(poisoned.isPoisoned).count
        XCTAssertGreaterThan(Double(right), 0.9 * Double(suspects.count))
        XCTAssertGreaterThan(Double(right), 0.6 * Double(poisoned.poisonedPositions.count))
        XCTAssertLessThan(success(model, outcome.bounds, backdoor), 0.1)
        XCTAssertGreaterThan(ModelToy.accuracy(model, outcome.bounds), ModelToy.accuracy(model) - 0.03)
    }

    /// A demand that no bounds can meet is not met at any price: the bounds go back to where the model still worked, and the audit
    /// says what is left. Without that the model is lost.
    func testWhatCannotBeMetDoesNotTakeTheModelAlong() throws {
        let (model, context) = try poisonedModel(backdoor())
        var fit = BoundFit()
        (fit.perLayer, fit.stayed, fit.epochsOfFew, fit.stepsWithSuspects) = (true, -1, 60, 400)
        let outcome = try fit.apply(model, context)
        XCTAssertGreaterThan(ModelToy.accuracy(model, outcome.bounds), ModelToy.accuracy(model) - 0.03)
        XCTAssertEqual(outcome.audit.first { $0.name == "suspects that stay in their class" }?.value, "1.000, wanted at most -1.00")
        fit.leastAgreement = 0
        XCTAssertLessThan(ModelToy.accuracy(model, try fit.apply(model, context).bounds), 0.4)
    }

    /// A model whose logits are the same for all images agrees with itself under any bounds: these stay where they start, and the audit says so.
    func testWhatPutsAllImagesIntoOneClassIsLeftAlone() throws {
        let model = Parameters(copying: ModelToy.trained)
        ModelToy.edit(model, "fc2/weight") { for i in $0.indices { $0[i] = 0 } }
        let outcome = try BoundFit().apply(model, ModelToy.context(100))
        XCTAssertEqual(outcome.audit.first { $0.name == "bounds left where they start" }?.value, "the model puts all FM images into one class")
        let samples = ModelToy.samples(100), predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2)
        let start = Activations(model, samples, predictor).quantiles(0.99, of: Array(0..<100), threads: 2)
        XCTAssertEqual(Array(outcome.bounds.buffer.values), start)
        XCTAssertTrue(start.contains { $0 > 1 }, "bounds that are all near 0 would be equal, too")
    }

    /// Unlearning alone, and under bounds, on both ways; under the bounds the parameters have changed, too.
    func testWhatWasFoundIsUnlearnt() throws {
        let backdoor = try backdoor(), (model, poisoned) = try poisonedModel(backdoor)
        for context in [poisoned, ModelToy.context(600)] {
            let fit = BoundFit(), found = try fit.examine(model, context)
            for start in [DefenseOutcome(parameters: model, bounds: Bounds(model.network), passes: 0), fit.fitted(found, model, context)] {
                let outcome = try Unlearning().train(start, found, context)
                XCTAssertNotEqual(Array(outcome.parameters.buffer.values), Array(model.buffer.values))
                XCTAssertEqual(Array(outcome.bounds.buffer.values), Array(start.bounds.buffer.values))
                XCTAssertLessThan(success(outcome.parameters, outcome.bounds, backdoor), 0.1)
                XCTAssertGreaterThan(ModelToy.accuracy(outcome.parameters, outcome.bounds), ModelToy.accuracy(model) - 0.03)
            }
        }
        XCTAssertEqual(Array(try Unlearning().apply(ModelToy.trained, ModelToy.context(600)).parameters.buffer.values),
                       Array(ModelToy.trained.buffer.values), "nothing was found")
    }

    /// The screen needs no picture of the trigger: one blended over the whole image and one of four parts are found, in the
    /// class they lead to and no other, with the images that carry them.
    func testTheScreenFindsTriggersOfAnyShape() throws {
        for trigger in ["blend", "dba"] {
            let (model, context) = try poisonedModel(backdoor(trigger)), samples = context.synthetic
            let screen = Screen(Examined(model, context))
            XCTAssertEqual(screen.verdicts.indices.filter { (screen.verdicts[$0].score ?? 0) >= DetectionSettings.poisonedFrom }, [0], trigger)
            let suspects = screen.verdicts[0].suspects, right = suspects.filter(samples.isPoisoned).count
            XCTAssertGreaterThan(Double(right), 0.9 * Double(suspects.count), trigger)
            XCTAssertGreaterThan(Double(right), 0.8 * Double(samples.poisonedPositions.count), trigger)
            let witnesses = screen.verdicts[0].witnesses
            XCTAssertTrue(Set(witnesses).isSubset(of: suspects))
            XCTAssertGreaterThan(Double(witnesses.filter { samples.trueLabel($0) != 0 }.count), 0.95 * Double(witnesses.count), trigger)
        }
    }

    /// Images that were distrusted before the first round are kept only where nothing looks attacked at the end.
    func testDistrustedImagesAreNotKeptBesideABackdoor() throws {
        var (model, context) = try poisonedModel(try backdoor())
        context.distrusted = (0..<context.synthetic.count).filter { $0 % 50 == 0 }
        let found = try BoundFit().examine(model, context)
        XCTAssertGreaterThan(found.suspects.count, 100)
        XCTAssertTrue(Set(found.kept).isDisjoint(with: context.distrusted))
        context = ModelToy.context(60)
        context.distrusted = [1, 2, 3]
        XCTAssertEqual(try BoundFit().examine(ModelToy.trained, context).kept.count, 60)
    }

    /// On clean data and a clean model nothing is set aside.
    func testNothingIsFoundWhereNothingIs() throws {
        let outcome = try BoundFit().apply(ModelToy.trained, ModelToy.context(600))
        XCTAssertEqual(outcome.suspects, [])
        XCTAssertGreaterThan(ModelToy.accuracy(ModelToy.trained, outcome.bounds), ModelToy.accuracy(ModelToy.trained) - 0.03)
    }

    /// A variant differs from the fit in its name and in one other field.
    func testVariantsChangeOneThing() throws {
        func fields(_ fit: any ModelDefense) -> [String] { Mirror(reflecting: fit).children.map { "\($0.label ?? "") \($0.value)" } }
        for variant in BoundVariants.all {
            let fit = try XCTUnwrap(BoundVariants.make(variant.name)), base = try XCTUnwrap(ModelDefenses.make(variant.base))
            XCTAssertEqual(zip(fields(fit), fields(base)).filter { $0 != $1 }.count, 2, variant.name)
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
        for layer in bounds.network.layers { XCTAssertEqual(Set(bounds[layer]).count, 1, layer.name) }
        XCTAssertGreaterThan(ModelToy.accuracy(ModelToy.trained, bounds), 0.9)
    }

    private func backdoor(_ trigger: String = "patch") throws -> Backdoor {
        Backdoor(trigger: try Triggers.make(trigger, shape: ImageShape(channels: 1, side: 28), seed: 1), relabeling: .target(0))
    }

    /// Data a fifth of which is poisoned.
    private func poisonedData(_ backdoor: Backdoor) -> DefenseContext {
        var stream = RandomStream(seed: 1, purpose: "bound fit test")
        let poisoned = ModelToy.samples(600).poisoned(Poisoning(backdoor, fraction: 0.2, cover: 0), using: &stream)
        return DefenseContext(synthetic: poisoned, kernels: ModelToy.kernels, threads: 2, seed: 1)
    }

    /// Models trained on poisoned data, by trigger: several tests look at the same.
    private static var poisonedModels: [String: Parameters] = [:]

    /// A model trained on poisoned data, and what a defence with these data has.
    private func poisonedModel(_ backdoor: Backdoor) throws -> (model: Parameters, context: DefenseContext) {
        let context = poisonedData(backdoor), name = type(of: backdoor.trigger).name
        if let model = Self.poisonedModels[name] { return (model, context) }
        var training = FineTuning()
        (training.epochs, training.batch, training.sgd.rate) = (6, 16, 0.02)
        let model = try training.train(ModelToy.random(), context).model
        Self.poisonedModels[name] = model
        return (model, context)
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
