import Attacks
import Datasets
import DefenseInterface
import Detection
import Network
import Options
import Rules
import Testing
@testable import Federation

/// `vouching` in the rounds: when the FM data have a part, and what becomes of their labels.
@Suite struct VouchedRoundTests {
    private var configuration: RunConfiguration {
        var c = RunConfiguration()
        (c.attack, c.batch, c.rounds, c.clients, c.malicious, c.rate) = (.fm, 16, 3, 4, 1, 0.05)
        (c.defenses, c.synthetic) = ([Vouching.name], "fm")
        return c
    }

    private func run(_ configuration: RunConfiguration, trigger: String = "patch", threads: Int = 2, images: Int = 400, fm: Int = 300)
        throws -> FederatedRun
    {
        var c = configuration
        c.trigger = trigger
        let generated = UnnamedSplit(set: Toy.set(fm, seed: 9), classNames: (0..<Toy.classes).map { "class \($0)" }, source: "test")
        let run = try FederatedRun(c, RunData(c, Toy.dataset(images), generated, syntheticName: "fm"), threads: threads)
        try run.run()
        return run
    }

    @Test func roundsBeforeTheInitialisation() throws {
        var c = configuration
        c[Vouching.rounds] = 2
        #expect(c.allRounds == -1...3 && c.allRounds.map { c.asksTeachers(inRound: $0) } == [false, true, true, true, true])
        #expect(c.allRounds.map { c.epochs(of: 0, images: 100, inRound: $0) } == [5, 5, 1, 1, 1])
        #expect(c.allRounds.map { c.epochs(of: 0, images: 10, inRound: $0) } == [20, 20, 1, 1, 1])
        c.fusionEpochs = 0
        #expect(c.allRounds.map { c.asksTeachers(inRound: $0) } == [false, true, false, false, false])
        try c.validate()
        c.defenses = []
        #expect(c.allRounds == 1...3 && c.vouchingRounds == 0)
        (c.defenses, c.initialEpochs) = ([Vouching.name], 0)
        #expect(throws: SettingError.self) { try c.validate() }
    }

    /// Where no label is wrong, the defence changes no bit of what follows the initialisation, whatever was remembered before it.
    @Test(arguments: ["norm-clip", "foolsgold"]) func withoutAttackNoBitChanges(rule: String) throws {
        var c = configuration
        (c.attack, c.defenses, c.rounds) = (.none, [rule], 2)
        let plain = try run(c, images: 160, fm: 80)
        c.defenses = [rule, Vouching.name]
        c[Vouching.rounds] = 2
        let vouched = try run(c, images: 160, fm: 80)
        #expect(vouched.state.distrusted.isEmpty && vouched.global.values == plain.global.values)
        #expect(vouched.history.map(\.accuracy) == plain.history.map(\.accuracy) && vouched.history.map(\.round) == [0, 1, 2])
        #expect(vouched.plannedPasses > plain.plannedPasses)
    }

    /// Whatever the trigger looks like; without the defence each of these is planted.
    @Test(arguments: ["patch", "frame", "moving"]) func noTriggerIsPlanted(_ trigger: String) throws {
        let run = try run(configuration, trigger: trigger), last = try #require(run.history.last)
        var plain = configuration
        plain.defenses = []
        let undefended = try self.run(plain, trigger: trigger).history.last
        #expect(try #require(undefended).attackSuccess > 0.5, "\(trigger): \(undefended?.attackSuccess ?? .nan)")
        #expect(last.attackSuccess < 0.1 && last.accuracy > 0.9, "\(trigger): \(last.accuracy) / \(last.attackSuccess)")
        #expect(run.state.dataAudit.first?.name == "FM labels that are not trusted")
        #expect(!run.state.distrusted.isEmpty && run.state.distrusted.allSatisfy { $0 < 300 })
    }

    /// Poison that comes in with fusion alone is voted on as well, and malicious clients cannot hide it.
    @Test(arguments: [PoisonStage.fusion, .initialisation]) func everyStageIsVotedOn(_ stage: PoisonStage) throws {
        var c = configuration
        (c.attack, c.fmPoisonStage, c.rounds, c.clients) = (.both, stage, 1, 6)
        let run = try run(c, images: 600), out = run.state.distrusted, poisoned = run.data.synthetic.poisonedPositions
        let wrong = poisoned.filter { run.data.synthetic.label($0) != run.data.synthetic.trueLabel($0) }
        let missed = Set(wrong).subtracting(out).count
        #expect(!wrong.isEmpty && missed * 50 <= wrong.count, "\(missed) of \(wrong.count)")
        #expect(out.count <= 2 * poisoned.count, "\(out.count), \(poisoned.count) poisoned; \(run.state.dataAudit)")
    }

    /// Malicious clients that take poisoned labels for right have no part in the rounds; rules then assume that none are left.
    @Test func whoSupportsWrongLabelsIsLeftOut() throws {
        var c = configuration
        (c.attack, c.rounds, c.clients, c.malicious, c.participation) = (.both, 2, 6, 2, 1)
        let run = try run(c, images: 600), state = run.state
        #expect(state.excluded == [0, 1], "\(state.dataAudit)")
        #expect(state.nextClients == [2, 3, 4, 5] && state.assumedMalicious(4) == 0 && c.assumedMalicious(6) == 2)
        #expect(state.dataAudit.contains { $0.name.hasPrefix("clients that support wrong labels") && $0.value == "0 1" })
        #expect(try #require(run.history.last).attackSuccess < 0.1)
        c.attack = .classic
        #expect(try self.run(c, images: 600).state.excluded.isEmpty)
    }

    /// A round draws its clients from those that are left, in the order in which it would have drawn them.
    @Test func roundsDrawFromThoseLeft() {
        var c = configuration
        (c.clients, c.malicious, c.participation) = (20, 6, 0.5)
        for round in 1...5 {
            let all = c.clientNumbers(inRound: round), left = c.clientNumbers(inRound: round, without: [0, 3])
            #expect(
                all.count == 10 && left.count == 10 && Set(all).subtracting([0, 3]).isSubset(of: left) && !left.contains(0)
                    && !left.contains(3))
        }
        #expect(c.assumedMalicious(10) == 3 && c.assumedMalicious(10, without: 2) == 3 && c.assumedMalicious(10, without: 6) == 0)
    }

    @Test func threadsChangeNothing() throws {
        let one = try run(configuration, threads: 1), three = try run(configuration, threads: 3)
        #expect(one.global.values == three.global.values && one.history.map(\.accuracy) == three.history.map(\.accuracy))
    }

    /// Neither teachers nor the network that learns from them see images that are not trusted.
    @Test func whatIsNotTrustedIsNotFused() throws {
        let synthetic = try Toy.samples(64, poisoned: 0.5), update = Toy.parameters(2)
        var one = FederationState(
            configuration, Toy.network, Toy.normalization,
            Provenance(dataset: "toy", datasetDigest: "d", synthetic: "s", syntheticDigest: "e"))
        let server = Server(kernels: Toy.kernels, threads: 2)
        var other = one
        (one.prototypes[0].global, one.finishedRounds, one.distrusted) = (Toy.parameters(), 0, synthetic.poisonedPositions)
        (other.prototypes[0].global, other.finishedRounds) = (Toy.parameters(), 0)
        func fused(_ state: FederationState, _ synthetic: Samples) throws -> [Float] {
            var state = state
            let aggregation = try Aggregation(state, from: [Sender(client: 0, images: 10)], by: FedAvg(), server, synthetic)
            aggregation.add(update)
            let aggregated = try aggregation.finish()
            #expect(aggregated.teacherLogits.count == state.used(synthetic).count * Toy.classes)
            state.adopt(aggregated)
            try state.fuse(aggregated.teacherLogits, server, synthetic)
            return state.global.values
        }
        #expect(one.used(synthetic).poisonedPositions.isEmpty && one.used(synthetic).count == 32)
        #expect(try fused(one, synthetic) == fused(other, one.used(synthetic)))
        #expect(try fused(one, synthetic) != fused(other, synthetic))
    }

    /// Images that are used for what they show have their labels nowhere: another wrong label, and what teachers say of it, change no bit.
    @Test func aWrongLabelIsNotHeard() throws {
        let synthetic = try Toy.samples(64, poisoned: 0.5), out = synthetic.poisonedPositions,
            server = Server(kernels: Toy.kernels, threads: 2)
        var state = FederationState(
            configuration, Toy.network, Toy.normalization,
            Provenance(dataset: "toy", datasetDigest: "d", synthetic: "s", syntheticDigest: "e"))
        (state.prototypes[0].global, state.finishedRounds, state.distrusted) = (Toy.parameters(), 0, out)
        state.shown = out.flatMap { image in
            (0..<Toy.classes).map { $0 == synthetic.label(image) || image == out[0] ? 0 : 1 / Float(Toy.classes - 1) }
        }
        #expect(state.used(synthetic).count == 63)
        let shown = try #require(state.shown(of: synthetic)), left = state.used(synthetic)
        var logits = (0..<63 * Toy.classes).map { Float($0 % 7) - 3 }
        func fused() throws -> [Float] {
            var state = state
            try state.fuse(logits, server, synthetic)
            return state.global.values
        }
        let before = try fused()
        for image in 0..<63 where shown[image * Toy.classes + left.label(image)] == 0 {
            logits[image * Toy.classes + left.label(image)] = 40
        }
        #expect(try fused() == before && before.allSatisfy { $0.isFinite })
        logits[left.label(1)] += 1  // of an image whose label is trusted or not, another class
        #expect(try fused() != before)
    }
}
