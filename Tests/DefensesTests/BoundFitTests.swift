import Attacks
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

/// The parts of the bound fit, and the whole on a model with a backdoor.
@Suite struct BoundFitTests {
    /// After whitening the mean of the groups' covariances is the unit matrix, whatever it was.
    @Test func whiteningMakesTheSpreadWithinGroupsOne() {
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
                    let mj = group.reduce(0) { $0 + y[$1][j] } / Double(group.count),
                        mk = group.reduce(0) { $0 + y[$1][k] } / Double(group.count)
                    return sum + group.reduce(0) { $0 + (y[$1][j] - mj) * (y[$1][k] - mk) } / Double(group.count) / 2
                }
                #expect(abs(covariance - (j == k ? 1 : 0)) <= 1e-9)
            }
        }
    }

    /// A discriminant mends a split that is right for most rows only.
    @Test func discriminantMendsASplit() {
        var stream = RandomStream(seed: 6, purpose: "discriminant test")
        let x = (0..<200).map { i in [stream.normal() + (i < 50 ? 8 : 0), stream.normal()] }
        let mended = discriminated(x, (0..<200).map { $0 < 40 || (60..<65).contains($0) })
        #expect(mended == (0..<200).map { $0 < 50 })
    }

    /// With the model before the clients trained: what they planted is found. What that model has, too, is none of theirs, and with one
    /// that has learnt nothing classes are compared instead.
    @Test func whatTheTwinHasIsNoBackdoorOfClients() throws {
        let backdoor = try backdoor(), clean = ModelToy.context(600)
        var training = FineTuning()
        (training.epochs, training.batch, training.sgd.rate) = (6, 16, 0.02)
        let model = try training.train(ModelToy.trained, poisonedData(backdoor)).model
        #expect(success(model, Bounds(model.network), backdoor) > 0.9)
        func attacked(_ initial: Parameters) throws -> [String?] {
            var context = clean
            context.initial = initial
            let audit = try BoundFit().apply(model, context).audit
            return [
                audit.first { $0.name == "class that looks attacked" }?.value,
                audit.first { $0.name.hasPrefix("trigger search per class") }.map {
                    $0.name.contains("contrast") ? "contrast" : "deviations"
                },
            ]
        }
        #expect(try attacked(ModelToy.trained) == ["0", "contrast"])
        #expect(try attacked(model) == ["none", "contrast"])
        #expect(try attacked(ModelToy.random()) == ["0", "deviations"])
    }

    /// Taught on clean FM images, the twin comes to what the model makes of them, and not to what a trigger makes of it; one that has
    /// learnt nothing before is none.
    @Test func theTwinLearnsWhatImagesTeachAndNotTheTrigger() throws {
        let backdoor = try backdoor(), context = ModelToy.context(600), samples = context.synthetic
        var training = FineTuning()
        (training.epochs, training.batch, training.sgd.rate) = (1, 16, 0.02)
        let initial = try training.train(ModelToy.random(), ModelToy.context(60)).model, model = try poisonedModel(backdoor).model
        let predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2), subject = Examined(model, context)
        var passes = 0.0
        func agreement(_ other: Parameters) -> Double {
            let logits = predictor.logits(samples.count, other, Bounds(other.network)) { samples.load($0, into: $1) }
            return Double(zip(Loss.predictions(logits, classes: 5), subject.activations.predictions).count { $0 == $1 })
                / Double(samples.count)
        }
        let taught = Twin(initial, of: subject, Array(0..<samples.count), passes: &passes), twin = try #require(taught)
        #expect(agreement(initial) < 0.9)
        #expect(agreement(twin.trainer.parameters) > 0.98)
        #expect(success(model, Bounds(model.network), backdoor) > 0.9)
        #expect(success(twin.trainer.parameters, Bounds(ModelToy.network), backdoor) < 0.1)
        #expect(
            abs(
                passes
                    - (Double(DetectionSettings.twinLeastSteps * DetectionSettings.twinBatch) + 2 * Double(DetectionSettings.twinImages) / 3)
            ) <= 1e-9)
        let none = Twin(ModelToy.random(), of: subject, Array(0..<samples.count), passes: &passes)
        #expect(none == nil)
    }

    /// A backdoor that the FM data do not show (malicious clients): the search names the class, nothing is set aside, and
    /// the success rate falls far.
    @Test func backdoorThatTheDataDoNotShowIsFound() throws {
        let backdoor = try backdoor(), clean = ModelToy.samples(600)
        let model = try poisonedModel(backdoor).model, before = success(model, Bounds(model.network), backdoor)
        #expect(before > 0.9)
        let outcome = try BoundFit().apply(model, ModelToy.context(clean.count))
        #expect(outcome.audit.first { $0.name == "class that looks attacked" }?.value == "0")
        #expect(outcome.suspects == [])
        #expect(success(model, outcome.bounds, backdoor) < 0.2)
        #expect(ModelToy.accuracy(model, outcome.bounds) > ModelToy.accuracy(model) - 0.03)
    }

    /// Poisoned FM data, a model trained on them: screen and search name the class, the suspects are the poisoned
    /// images, and the backdoor goes while accuracy stays.
    @Test func backdoorFromPoisonedDataIsFoundAndStopped() throws {
        let backdoor = try backdoor(), (model, context) = try poisonedModel(backdoor), poisoned = context.synthetic
        #expect(success(model, Bounds(model.network), backdoor) > 0.9)

        let outcome = try BoundFit().apply(model, context), suspects = try #require(outcome.suspects)
        #expect(outcome.audit.first { $0.name == "class that looks attacked" }?.value == "0")
        let right = suspects.filter(poisoned.isPoisoned).count
        #expect(Double(right) > 0.9 * Double(suspects.count))
        #expect(Double(right) > 0.6 * Double(poisoned.poisonedPositions.count))
        #expect(success(model, outcome.bounds, backdoor) < 0.1)
        #expect(ModelToy.accuracy(model, outcome.bounds) > ModelToy.accuracy(model) - 0.03)
    }

    /// A demand that no bounds can meet is not met at any price: the bounds go back to where the model still worked, and the audit
    /// says what is left. Without that the model is lost.
    @Test func whatCannotBeMetDoesNotTakeTheModelAlong() throws {
        let (model, context) = try poisonedModel(backdoor())
        var fit = BoundFit()
        (fit.settings.perLayer, fit.settings.stayed, fit.epochsOfFew, fit.stepsWithSuspects) = (true, -1, 60, 400)
        let outcome = try fit.apply(model, context)
        #expect(ModelToy.accuracy(model, outcome.bounds) > ModelToy.accuracy(model) - 0.03)
        #expect(outcome.audit.first { $0.name == "suspects that stay in their class" }?.value == "1.000, wanted at most -1.00")
        fit.settings.leastAgreement = 0
        #expect(ModelToy.accuracy(model, try fit.apply(model, context).bounds) < 0.4)
    }

    /// A model whose logits are the same for all images agrees with itself under any bounds: these stay where they start, and the audit
    /// says so.
    @Test func whatPutsAllImagesIntoOneClassIsLeftAlone() throws {
        let model = Parameters(copying: ModelToy.trained)
        ModelToy.edit(model, "fc2/weight") { for i in $0.indices { $0[i] = 0 } }
        let outcome = try BoundFit().apply(model, ModelToy.context(100))
        #expect(outcome.audit.first { $0.name == "bounds left where they start" }?.value == "the model puts all FM images into one class")
        let samples = ModelToy.samples(100), predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2)
        let start = Activations(model, samples, predictor).quantiles(0.99, of: Array(0..<100), threads: 2)
        #expect(Array(outcome.bounds.buffer.values) == start)
        #expect(start.contains { $0 > 1 }, "bounds that are all near 0 would be equal, too")
    }

    /// Unlearning alone, and under bounds, on both ways; under the bounds the parameters have changed, too.
    @Test func whatWasFoundIsUnlearnt() throws {
        let backdoor = try backdoor(), (model, poisoned) = try poisonedModel(backdoor)
        for context in [poisoned, ModelToy.context(600)] {
            let fit = BoundFit(), found = try fit.examine(model, context)
            for start in [DefenseOutcome(parameters: model, bounds: Bounds(model.network), passes: 0), fit.fitted(found, model, context)] {
                let outcome = try Unlearning().train(start, found, context)
                #expect(Array(outcome.parameters.buffer.values) != Array(model.buffer.values))
                #expect(Array(outcome.bounds.buffer.values) == Array(start.bounds.buffer.values))
                #expect(success(outcome.parameters, outcome.bounds, backdoor) < 0.1)
                #expect(ModelToy.accuracy(outcome.parameters, outcome.bounds) > ModelToy.accuracy(model) - 0.03)
            }
        }
        #expect(
            Array(try Unlearning().apply(ModelToy.trained, ModelToy.context(600)).parameters.buffer.values)
                == Array(ModelToy.trained.buffer.values), "nothing was found")
    }

    /// The screen needs no picture of the trigger: one blended over the whole image and one of four parts are found, in the
    /// class they lead to and no other, with the images that carry them.
    @Test func theScreenFindsTriggersOfAnyShape() throws {
        for trigger in ["blend", "dba"] {
            let (model, context) = try poisonedModel(backdoor(trigger)), samples = context.synthetic
            let screen = Screen(Examined(model, context))
            #expect(
                screen.verdicts.indices.filter { (screen.verdicts[$0].score ?? 0) >= DetectionSettings.poisonedFrom } == [0],
                Comment(rawValue: trigger))
            let suspects = screen.verdicts[0].suspects, right = suspects.filter(samples.isPoisoned).count
            #expect(Double(right) > 0.9 * Double(suspects.count), Comment(rawValue: trigger))
            #expect(Double(right) > 0.8 * Double(samples.poisonedPositions.count), Comment(rawValue: trigger))
            let witnesses = screen.verdicts[0].witnesses
            #expect(Set(witnesses).isSubset(of: suspects))
            #expect(
                Double(witnesses.filter { samples.trueLabel($0) != 0 }.count) > 0.95 * Double(witnesses.count), Comment(rawValue: trigger))
        }
    }

    /// Images that were distrusted before the first round are kept only where nothing looks attacked at the end.
    @Test func distrustedImagesAreNotKeptBesideABackdoor() throws {
        var (model, context) = try poisonedModel(try backdoor())
        context.distrusted = (0..<context.synthetic.count).filter { $0 % 50 == 0 }
        let found = try BoundFit().examine(model, context)
        #expect(found.suspects.count > 100)
        #expect(Set(found.kept).isDisjoint(with: context.distrusted))
        context = ModelToy.context(60)
        context.distrusted = [1, 2, 3]
        #expect(try BoundFit().examine(ModelToy.trained, context).kept.count == 60)
    }

    /// On clean data and a clean model nothing is set aside.
    @Test func nothingIsFoundWhereNothingIs() throws {
        let outcome = try BoundFit().apply(ModelToy.trained, ModelToy.context(600))
        #expect(outcome.suspects == [])
        #expect(ModelToy.accuracy(ModelToy.trained, outcome.bounds) > ModelToy.accuracy(ModelToy.trained) - 0.03)
    }

    /// A variant differs from the fit in its name and in one other field.
    @Test func variantsChangeOneThing() throws {
        func fields(_ fit: any ModelDefense) -> [String] { Mirror(reflecting: fit).children.map { "\($0.label ?? "") \($0.value)" } }
        for variant in BoundVariants.all {
            let fit = try #require(BoundVariants.make(variant.name)), base = try #require(ModelDefenses.make(variant.base))
            #expect(zip(fields(fit), fields(base)).filter { $0 != $1 }.count == 2, Comment(rawValue: variant.name))
            #expect(fit.label == variant.name)
            #expect(ModelDefenses.make(variant.name)?.label == variant.name)
        }
        #expect(Set(BoundVariants.all.map(\.name)).count == BoundVariants.all.count)
        #expect(Set(BoundVariants.all.map(\.title)).count == BoundVariants.all.count)
        #expect(ModelDefenses.make("bounds:unknown") == nil)
    }

    /// One bound a layer: its gradient is the sum of its channels', so that all move alike from the largest start.
    @Test func oneBoundALayer() throws {
        var fit = BoundFit()
        (fit.settings.perLayer, fit.screens) = (true, false)
        let bounds = try fit.apply(ModelToy.trained, ModelToy.context(60)).bounds
        for layer in bounds.network.layers { #expect(Set(bounds[layer]).count == 1, Comment(rawValue: layer.name)) }
        #expect(ModelToy.accuracy(ModelToy.trained, bounds) > 0.9)
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
        return Double(
            (0..<victims.count).filter { i in
                (0..<5).allSatisfy { logits[i * 5] >= logits[i * 5 + $0] }
            }.count) / Double(victims.count)
    }
}
