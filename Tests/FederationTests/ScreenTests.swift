import Attacks
import Datasets
import Bounds
import DefenseInterface
import Defenses
import Detection
import Rules
import Network
import Options
import Testing
@testable import Federation

/// `screen`: FM images that look poisoned are not used.
@Suite struct ScreenTests {
    private var server: Server { Server(kernels: Toy.kernels, threads: 2) }

    private func state(_ configuration: RunConfiguration) -> FederationState {
        FederationState(configuration, Toy.network, Toy.normalization, Provenance(dataset: "toy", datasetDigest: "d", synthetic: "s", syntheticDigest: "e"))
    }

    private var configuration: RunConfiguration {
        var c = RunConfiguration()
        (c.attack, c.batch, c.defenses) = (.fm, 16, [FMScreen.name])
        return c
    }

    @Test func poisonedImagesAreLeftOutBeforeTheFirstRound() throws {
        let synthetic = try Toy.samples(600, poisoned: 0.2), poisoned = Set(synthetic.poisonedPositions)
        var screened = state(configuration)
        try screened.start(server, synthetic)
        let images = screened.distrusted, right = images.filter(poisoned.contains).count
        #expect(right >= 114 && images.count <= right + 12, "\(right) of 120 poisoned, \(images.count) in all")
        #expect(screened.screenAudit.contains(Finding("class whose FM images look poisoned", "0")))
        // The model before the first round never saw them: it is the one of the others alone, after about as many steps.
        var again = configuration
        again.initialEpochs = 6
        #expect(configuration.initialEpochs == 5 && screened.trusted(synthetic).count == 600 - images.count)
        #expect(try screened.global.values == server.initialize(again, screened.trusted(synthetic), network: Toy.network).values)
        let backdoor = try #require(synthetic.backdoor), clean = Samples(Toy.set(200, seed: 3), normalization: Toy.normalization)
        var plain = configuration
        plain.defenses = []
        var unscreened = state(plain)
        try unscreened.start(server, synthetic)
        #expect(unscreened.distrusted.isEmpty && server.evaluate(unscreened.global, Bounds(Toy.network), clean, backdoor).attackSuccess > 0.8)
        let left = server.evaluate(screened.global, Bounds(Toy.network), clean, backdoor)
        #expect(left.attackSuccess < 0.1 && left.accuracy > 0.9)
    }

    /// Where nothing is found the training is the one without `screen`, to the bit.
    @Test func nothingIsFoundWhereNothingIs() throws {
        var plain = configuration
        (plain.attack, plain.defenses) = (.none, [])
        var screening = plain
        screening.defenses = [FMScreen.name]
        let synthetic = try Toy.samples(300)
        var one = state(plain), other = state(screening)
        try one.start(server, synthetic)
        try other.start(server, synthetic)
        #expect(other.distrusted.isEmpty && one.global.values == other.global.values)
        #expect(one.trusted(synthetic).count == 300)
    }

    /// Of several looks the one at which a class looked most poisoned counts, whichever comes first.
    @Test(arguments: [[true], [true, false], [false, true]]) func theBestLookCounts(_ looks: [Bool]) throws {
        let synthetic = try Toy.samples(600, poisoned: 0.2), taught = try server.initialize(configuration, synthetic, network: Toy.network)
        let context = DefenseContext(synthetic: synthetic, kernels: Toy.kernels, threads: 2, seed: 1)
        var one = FMScreen(), several = FMScreen()
        one.look(taught, context)
        let clean = try server.initialize(configuration, Toy.samples(600), network: Toy.network)
        for isTaught in looks { several.look(isTaught ? taught : clean, context) }
        #expect(!one.distrusted.isEmpty && several.distrusted == one.distrusted && several.audit.first == one.audit.first)
    }

    /// A network that has not learnt all poisoned images yet predicts some as what they show: by their label and the trigger they are found, too.
    @Test func imagesThatAreLearntLateAreLeftOut() throws {
        let synthetic = try Toy.samples(600, poisoned: 0.2), poisoned = Set(synthetic.poisonedPositions)
        // Class 3 keeps its labels under the trigger, as if the network had not come to them.
        let early = synthetic.subset((0..<600).filter { !poisoned.contains($0) || synthetic.trueLabel($0) != 3 })
        let other = try Toy.samples(600, poisoned: 1), late = other.subset((0..<600).filter { other.trueLabel($0) == 3 })
        let trainer = server.trainers[Toy.network], sgd = configuration.sgd(configuration.initialRate), taught = try server.initialize(configuration, early, network: Toy.network)
        trainer.reset(taught)
        for step in 0..<100 {
            _ = trainer.step(24, sgd, load: { i, x in
                i < 12 ? early.load((step * 12 + i) % early.count, into: x) : late.load((step * 12 + i) % late.count, into: x)
            }, loss: { i, logits, gradient in
                let label = i < 12 ? early.label((step * 12 + i) % early.count) : 3
                return Loss.crossEntropy(logits, classes: Toy.classes, label: label, batch: 24, gradient: gradient)
            })
        }
        var screen = FMScreen()
        screen.look(trainer.parameters, DefenseContext(synthetic: synthetic, kernels: Toy.kernels, threads: 2, seed: 1))
        let predicted = server.predictions(trainer.parameters, Bounds(Toy.network), synthetic), notLearnt = poisoned.filter { predicted[$0] != 0 }
        #expect(notLearnt.count >= 15 && notLearnt.isDisjoint(with: screen.suspects), "\(notLearnt.count)")
        #expect(notLearnt.intersection(screen.distrusted).count >= notLearnt.count * 9 / 10)
        #expect(Set(screen.distrusted).subtracting(poisoned).count <= 12)
    }

    /// Neither teachers nor the network that learns from them see images that are not trusted.
    @Test func whatIsNotTrustedIsNotFused() throws {
        let synthetic = try Toy.samples(64, poisoned: 0.5), update = Toy.parameters(2)
        var one = state(configuration), other = one
        (one.prototypes[0].global, one.finishedRounds, one.distrusted) = (Toy.parameters(), 0, synthetic.poisonedPositions)
        (other.prototypes[0].global, other.finishedRounds) = (Toy.parameters(), 0)
        func fused(_ state: FederationState, _ synthetic: Samples) throws -> [Float] {
            var state = state
            let aggregation = try Aggregation(state, [Sender(client: 0, images: 10)], FedAvg(), server, synthetic)
            aggregation.add(update)
            let aggregated = try aggregation.finish()
            #expect(aggregated.teacherLogits.count == state.trusted(synthetic).count * Toy.classes)
            state.adopt(aggregated)
            try state.fuse(aggregated.teacherLogits, server, synthetic)
            return state.global.values
        }
        #expect(one.trusted(synthetic).poisonedPositions.isEmpty && one.trusted(synthetic).count == 32)
        #expect(try fused(one, synthetic) == fused(other, one.trusted(synthetic)))
        #expect(try fused(one, synthetic) != fused(other, synthetic))
    }

    @Test func thereMustBeAModelToLookAt() throws {
        var c = configuration
        c.initialEpochs = 0
        #expect(throws: SettingError.self) { try c.validate() }
        c.defenses = [MultiKrum.name, FMScreen.name, BoundFit.name]
        #expect(try FederatedRun.defenses(c).1.count == 1)
    }
}
