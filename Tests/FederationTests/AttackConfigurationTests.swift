import Attacks
import Datasets
import HDF5
import Network
import Scratch
import Testing
@testable import Federation

/// The attack's part of the configuration, of evaluation and of run files.
@Suite struct AttackConfigurationTests {
    static let everything: RunConfiguration = {
        var c = RunConfiguration()
        (c.attack, c.coverFraction, c[ModelReplacement.boost], c[ProjectedTraining.radius], c[Neurotoxin.share]) = (
            .both, 0.1, .factor(2.5), 1.5, 0.05
        )
        (c.maliciousEpochs, c.maliciousRate, c[AdaptiveTraining.share]) = (3, 0.05, 0.8)
        (c[LayerwisePoisoning.threshold], c[LayerwisePoisoning.scale]) = (0.95, 0.5)
        return c
    }()

    @Test func travelsThroughJSON() throws {
        let c = Self.everything
        try c.validate()
        #expect(try RunConfiguration.from(json: c.json(), path: "x") == c)
        var other = c
        other[ModelReplacement.boost] = .replacement
        #expect(try RunConfiguration.from(json: other.json(), path: "x") == other)
        #expect(other.difference(from: c) == "model-replacement was 2.5, is auto")
    }

    /// One target is the number that it always was, several are a text, and only some triggers take them.
    @Test func targetsTravelThroughJSON() throws {
        var c = RunConfiguration()
        (c.attack, c.target) = (.fm, 3)
        #expect(try c.json().contains("\"target\":3,"))
        try c.set("target", "3,0,7")
        #expect(try c.json().contains("\"target\":\"3,0,7\",") && c.target.classes == [3, 0, 7])
        try c.validate()
        #expect(try RunConfiguration.from(json: c.json(), path: "x") == c)
        for change: (inout RunConfiguration) -> Void in [{ $0.allToAll = true }, { $0.trigger = "sig" }] {
            var other = c
            change(&other)
            #expect(message { try other.validate() }?.hasPrefix("--target 3,0,7: expected one class with --") == true)
        }
        for text in ["1,1", "0,-3", "x", "1,"] {
            #expect(message { try c.set("target", text) } == "--target \(text): expected a class from 0, or several different ones: 0,3,7")
        }
    }

    /// "target" is what is not set: no run file has it, and no training is named otherwise for it.
    @Test func cleanLabelsTravelThroughJSON() throws {
        var c = RunConfiguration()
        (c.attack, c.poisonLabel) = (.both, .clean)
        try c.validate()
        #expect(try RunConfiguration.from(json: c.json(), path: "x") == c)
        let clean = try c.reduced.trainingJSON()
        try c.set("poison-label", "target")
        #expect(c.poisonLabel == nil && clean.contains("poison-label"))
        #expect(try !c.reduced.trainingJSON().contains("poison-label"))
        (c.poisonLabel, c.attack, c.allToAll) = (.clean, .none, true)
        try c.validate()
    }

    @Test func unknownKeysAreRefused() throws {
        let json = try RunConfiguration().json().replacing("\"rounds\"", with: "\"turns\"")
        let text = message { _ = try RunConfiguration.from(json: json, path: "x.h5") }
        #expect(text?.contains("x.h5") == true && text?.contains("turns") == true)
    }

    @Test func badValuesAreRefused() {
        let bad: [(String, (inout RunConfiguration) -> Void)] = [
            ("--cover-fraction", { $0.coverFraction = 0.6 }), ("--cover-fraction", { $0.coverFraction = -0.1 }),
            ("--cover-fraction", { $0.coverFraction = .nan }),
            ("--model-replacement", { $0[ModelReplacement.boost] = .factor(0) }),
            ("--model-replacement", { $0[ModelReplacement.boost] = .factor(.infinity) }),
            ("--pgd-radius", { $0[ProjectedTraining.radius] = 0 }), ("--pgd-radius", { $0[ProjectedTraining.radius] = .nan }),
            ("--neurotoxin", { $0[Neurotoxin.share] = 1 }), ("--neurotoxin", { $0[Neurotoxin.share] = 0 }),
            ("--lp-attack", { $0[LayerwisePoisoning.threshold] = 0 }), ("--lp-attack", { $0[LayerwisePoisoning.threshold] = 1.5 }),
            ("--lp-scale", { $0[LayerwisePoisoning.scale] = 0 }),
            ("--malicious-epochs", { $0.maliciousEpochs = 0 }), ("--malicious-lr", { $0.maliciousRate = -1 }),
            ("--adaptive", { $0[AdaptiveTraining.share] = 0 }),
            ("--poison-label", { ($0.poisonLabel, $0.allToAll) = (.clean, true) }),
            ("--poison-label", { ($0.poisonLabel, $0.coverFraction) = (.clean, 0.1) }),
            ("--poison-label", { ($0.poisonLabel, $0.fmPoisonDraw) = (.clean, .eachOtherClass) }),
        ]
        for (option, change) in bad {
            var c = RunConfiguration()
            c.attack = .both
            change(&c)
            #expect(message { try c.validate() }?.hasPrefix(option + " ") == true, "\(option)")
        }
        for text in ["", "0", "-1", "inf", "nan", "much"] {
            #expect(message { _ = try ModelReplacement.boost.value(text) }?.hasPrefix("--model-replacement") == true)
        }
    }

    /// A network that says 2 whatever it sees: the rates can be counted.
    @Test func evaluationCounts() throws {
        let constant = Parameters(Toy.network)
        constant.setCanonical(Toy.network.tensors[15], [0, 0, 1, 0, 0])
        let set = Toy.set(50).subset(0..<38), clean = Samples(set, normalization: Toy.normalization), counts = set.classCounts  // 8 8 8 7 7
        let trigger = try Triggers.make("patch", shape: clean.shape, seed: 1), server = Server(kernels: Toy.kernels, threads: 1)
        func evaluate(_ relabeling: Relabeling) -> Evaluation {
            server.evaluate(constant, Bounds(Toy.network), clean, Backdoor(trigger: trigger, relabeling: relabeling))
        }
        #expect(counts == [8, 8, 8, 7, 7])
        #expect(
            evaluate(.target(2)) == Evaluation(accuracy: 8.0 / 38, attackSuccess: 1, robustAccuracy: 0, images: 38, triggeredImages: 30))
        #expect(
            evaluate(.target(3))
                == Evaluation(accuracy: 8.0 / 38, attackSuccess: 0, robustAccuracy: 8.0 / 31, images: 38, triggeredImages: 31))
        #expect(
            evaluate(.next)
                == Evaluation(accuracy: 8.0 / 38, attackSuccess: 8.0 / 38, robustAccuracy: 8.0 / 38, images: 38, triggeredImages: 38))
        let both = server.evaluate(
            constant, Bounds(Toy.network), clean,
            try Backdoor(trigger, named: "patch", leadingTo: try #require(Targets(classes: [2, 3]))))
        #expect(both.attackSuccess == 0.5 && both.robustAccuracy == 4.0 / 31 && both.triggeredImages == 61, "means over the targets")
    }

    /// A run that is interrupted and resumed ends where an uninterrupted one does, attackers' memory included.
    @Test func resumesExactly() throws {
        var c = Self.everything
        (c.trigger, c.synthetic, c.clients, c.rounds, c.batch, c.initialEpochs) = ("wanet", "holdout:40", 4, 3, 16, 1)
        (c.maliciousEpochs, c[ModelReplacement.boost]) = (1, .replacement)
        c.seed = 3
        let data = try RunData(c, Toy.dataset(120), nil, syntheticName: c.synthetic), scratch = Scratch(), path = scratch.file("run.h5")
        let straight = try FederatedRun(c, data, threads: 2)
        try straight.run()
        let first = try FederatedRun(c, data, threads: 1)
        first.onCheckpoint = { try RunFile.write($0, to: path) }
        first.stopSignal = { first.finishedRounds == 2 ? 2 : nil }
        #expect(throws: RunError.self) { try first.run() }
        let second = try FederatedRun(c, data, threads: 2)
        try RunFile.restore(second, from: path)
        #expect(
            second.finishedRounds == 2
                && second.state.prototypes[0].previousGlobal?.values == first.state.prototypes[0].previousGlobal?.values)
        try second.run()
        #expect(
            second.global.values == straight.global.values
                && second.state.prototypes[0].previousGlobal?.values == straight.state.prototypes[0].previousGlobal?.values)
        var forgetful = c
        forgetful[Neurotoxin.share] = nil
        let other = try FederatedRun(forgetful, data, threads: 2)
        try other.run()
        #expect(other.global.values != straight.global.values && other.state.prototypes[0].previousGlobal == nil)
    }

    /// The files say which images carry what.
    @Test func rolesAreRecorded() throws {
        var c = Self.everything
        (c.trigger, c.synthetic, c.clients, c.rounds, c.batch, c.initialEpochs) = ("wanet", "holdout:40", 4, 1, 16, 0)
        let data = try RunData(c, Toy.dataset(200), nil, syntheticName: c.synthetic)
        #expect(
            data.synthetic.positions(.poisoned).count == 8 && data.synthetic.positions(.cover).count == 4
                && data.synthetic.positions(.noise).count == 14)
        #expect(data.clients[1].positions(.poisoned).count == 20 && data.clients[1].share == TriggerShare(1, of: 2))
        #expect(data.clients[2].positions(.clean).count == 40)
        let scratch = Scratch(), path = scratch.file("run.h5")
        try RunFile.write(try FederatedRun(c, data, threads: 1), to: path)
        let file = try HDF5File.open(path)
        for (role, name) in [(Role.poisoned, "poisoned"), (.noise, "noise"), (.cover, "cover")] {
            let stored = try file.read("/attack/\(name)_synthetic", as: Int64.self).values
            #expect(stored == data.synthetic.positions(role).map { Int64(data.synthetic.indices[$0]) } && !stored.isEmpty)
        }
        #expect(try file.read("/attack/noise_client_0", as: Int64.self).values.count == data.clients[0].positions(.noise).count)
    }
}

/// The error that `body` throws, as text; nil when it throws none.
func message(_ body: () throws -> Void) -> String? {
    do { try body(); return nil } catch { return "\(error)" }
}
