import Attacks
import Defenses
import Options
import OwnMethods
import Rules
import Testing
@testable import Federation

/// What holds of every option of a run, whichever file declares it.
@Suite struct RunSettingsTests {
    static let all = RunConfiguration.settings.all
    static let names = RunConfiguration.settings.names

    /// A text other than the default that the setting takes.
    private static func example(_ setting: any AnySetting) -> String {
        if let choice = setting.choices.first(where: { $0 != setting.standardText }) { return choice }
        if setting.form == .flag { return "true" }
        if let interval = setting.allowed.interval {
            let candidates = [interval.lower + 1, (interval.lower + min(interval.upper, 2)) / 2, interval.lower + 2]
            return text(candidates.first { interval.contains($0) && text($0) != setting.standardText } ?? .nan)
        }
        return [
            "partition": "shards:2", "heads": "1x128,none", "trigger-place": "1,2",
            "malicious-update": "exec:boost@malicious-update:0123456789abcdef",
        ][setting.name] ?? "7"
    }

    private static func text(_ x: Double) -> String { Int(exactly: x).map { "\($0)" } ?? "\(x)" }

    private func error(_ body: () throws -> Void) -> String? {
        do { try body(); return nil } catch { return "\(error)" }
    }

    @Test func namesAreOneEachAndInOneStyle() {
        let everyName = Self.all.flatMap { [$0.name] + $0.formerNames }
        #expect(Set(everyName).count == everyName.count && Self.all.count >= 43)
        for name in Self.names { #expect(name.allSatisfy { $0.isLowercase || $0 == "-" }, "\(name)") }
        for setting in Self.all { #expect(!setting.summary.isEmpty && setting.summary.hasSuffix("."), "\(setting.name)") }
    }

    @Test(arguments: names) func textValueAndJSONAreTheSame(name: String) throws {
        let setting = try RunConfiguration.settings.named(name)
        var one = RunConfiguration()
        #expect(setting.isStandard(in: one.values))
        try one.set(name, Self.example(setting))
        #expect(one != RunConfiguration() && setting.text(in: one.values) == Self.example(setting))
        #expect(one.readable.first { $0.name == name }?.value == Self.example(setting))
        let json = try RunConfiguration.settings.json(one.values)
        #expect(json.contains("\"\(name)\":"))
        #expect(try RunConfiguration.settings.settings(json: json) == one.values)
        for former in setting.formerNames {
            let old = json.replacing("\"\(name)\":", with: "\"\(former)\":")
            #expect(old != json)
            #expect(try RunConfiguration.settings.settings(json: old) == one.values, "\(former)")
        }
        setting.reset(in: &one.values)
        #expect(one == RunConfiguration())
    }

    /// The ends of each range, and what lies beyond them.
    @Test(arguments: names) func rangesHold(name: String) throws {
        let setting = try RunConfiguration.settings.named(name)
        guard let interval = setting.allowed.interval else { return }
        var inside: [Double] = [], outside: [Double] = [.nan, .infinity, -.infinity, interval.lower - 1]
        if interval.includesLower { inside.append(interval.lower) } else { outside.append(interval.lower) }
        if interval.upper.isFinite {
            outside.append(interval.upper + 1)
            if interval.includesUpper { inside.append(interval.upper) } else { outside.append(interval.upper) }
        }
        for x in inside {
            #expect(
                error {
                    var c = RunConfiguration(); try c.set(name, Self.text(x))
                } == nil, "\(x)")
        }
        for x in outside {
            let given = Self.text(x), expected = "--\(name) \(given): expected \(setting.expected)"
            #expect(
                error {
                    var c = RunConfiguration(); try c.set(name, given)
                } == expected)
        }
        #expect(
            error {
                var c = RunConfiguration(); try c.set(name, "much")
            }?.hasPrefix("--\(name) much: expected ") == true)
    }

    @Test(arguments: names) func namesAreRefusedWhereOnlySomeAreTaken(name: String) throws {
        let setting = try RunConfiguration.settings.named(name)
        guard let choice = setting.choices.last else { return }
        let text = error {
            var c = RunConfiguration(); try c.set(name, choice + "x")
        }
        #expect(text?.hasPrefix("--\(name) \(choice)x: expected ") == true && text?.hasSuffix("did you mean \"\(choice)\"?") == true)
    }

    @Test func unknownNamesAreSuggested() {
        #expect(
            error {
                var c = RunConfiguration(); try c.set("local-epoch", "1")
            }?.contains("did you mean \"local-epochs\"?") == true)
    }

    /// JSON as version 0.1.0 wrote it before options had one name.
    @Test func configurationsOfBeforeAreRead() throws {
        let json = """
            {"adaptive":0.5,"allToAll":true,"attack":"both","attackBoost":"2.5","batch":16,"boundEvery":0,"clients":4,"clipNorm":5,\
            "coverFraction":0.1,"data":"tiny.h5","deepsightImages":3,"defenses":["norm-clip","bounds"],"evaluateOn":"dev",\
            "evaluationLimit":9,"fmPoisonFraction":0.3,"fusionEpochs":2,"fusionRate":0.01,"imagesPerClient":30,"initialEpochs":4,\
            "initialRate":0.03,"isa":"baseline","labelWeight":0.25,"localEpochs":3,"malicious":1,"maliciousEpochs":2,\
            "maliciousRate":0.03,"momentum":0.8,"neurotoxin":0.05,"normClipLimit":2,"normClipNoise":0.5,"participation":0.5,\
            "partition":"dirichlet:0.5","pgdRadius":1.5,"poisonFraction":0.4,"rate":0.05,"rounds":3,"seed":18446744073709551615,\
            "synthetic":"holdout:30","syntheticLimit":20,"target":2,"temperature":2,"trigger":"blend","weightDecay":0.001}
            """
        let c = try RunConfiguration.from(json: json, path: "old.h5")
        let since = [
            "fm-poison-draw", "fm-poison-stage", "evaluate-clients", "evaluate-every", "local-test-images", "bounds-paper-drop",
            "bounds-paper-factor",
            "bounds-paper-lr", "bounds-paper-passes", "dp-limit", "dp-noise", "rfout-deviations", "pruning-share", "pruning-deviations",
            "heads", "trigger-place", "malicious-update", "vouching-rounds", "vouching-epochs", "distillation-epochs", "spectral-part",
            "fm-label-noise", "fm-imbalance", "poison-label", "lp-attack", "lp-scale", "trigger-adaptation",
            "ft-sam-epochs", "ft-sam-rho", "flain-drop", "neural-cleanse-steps", "neural-cleanse-index", "neural-cleanse-epochs",
            "abl-share", "abl-gamma", "abl-epochs", "abl-unlearning-epochs",
        ]
        let standard = RunConfiguration.settings.all.filter { $0.isStandard(in: c.values) }.map(\.name)
        #expect(Set(standard) == Set(["clip-norm", "fusion-lr"] + since))
        #expect(c.rate == 0.05 && c[ModelReplacement.boost] == .factor(2.5) && c.partition == .dirichlet(0.5) && c.seed == .max)
        #expect(c.defenses == ["norm-clip", "bounds"] && c[NormClip.limit] == 2 && c[DeepSight.images] == 3 && c.evaluateOn == .dev)
        #expect(try RunConfiguration.from(json: c.json(), path: "new.h5") == c)
        let retired = json.split(separator: "\"boundEvery\":0").joined(separator: "\"boundEvery\":1")
        #expect(throws: RunError.self, "what this version has no more") { try RunConfiguration.from(json: retired, path: "old.h5") }
    }

    /// What may change when a run is resumed.
    @Test func differencesFollowFromWhatAnOptionChanges() throws {
        var stored = RunConfiguration()
        (stored.defenses, stored.synthetic, stored.data) = (["krum", "bounds"], "fm.h5", "a.h5")
        func differs(_ change: (inout RunConfiguration) -> Void) -> String? {
            var c = stored
            change(&c)
            return c.difference(from: stored)
        }
        #expect(differs { $0.data = "b.h5" } == nil && differs { $0.synthetic = "other.h5" } == nil)
        #expect(differs { $0.synthetic = "holdout:3" } == "synthetic was fm.h5, is holdout:3")
        #expect(differs { $0.defenses = ["krum", "bounds", "clp"] } == nil)
        #expect(differs { $0.defenses = ["krum"] } == "defense was krum bounds, is krum")
        #expect(differs { $0.defenses = ["median", "bounds"] } != nil && differs { $0.defenses = ["krum", "bounds", "vouching"] } != nil)
        #expect(differs { $0.rounds = 3 } == "rounds was 20, is 3" && differs { $0.isa = "other" } != nil)
        #expect(differs { $0[NormClip.limit] = 1 } == nil, "of a rule that has no part in it")
        #expect(
            differs {
                $0.defenses = ["krum", "bounds"]; $0.trigger = "sig"
            } != nil)
    }

    /// A user's own defence on the model may be changed, and is done again; own rules may not. Files name them by identities only.
    @Test func ownMethods() throws {
        let (old, new) = ("exec:x@model-defense:0123456789abcdef", "exec:x@model-defense:fedcba9876543210"),
            rule = "exec:r@rule:0123456789abcdef"
        var stored = RunConfiguration(), now = stored
        (stored.defenses, now.defenses) = ([rule, old], RunConfiguration.joined([rule, old], [new]))
        #expect(now.defenses == [rule, new] && now.difference(from: stored) == nil)
        #expect(RunConfiguration.joined([rule, old], [old, "clp"]) == [rule, old, "clp"])
        now.defenses = [new]
        #expect(now.difference(from: stored) != nil)
        #expect(throws: OwnMethodError.self) { try stored.requireGranted([.rule]) }
        for text in ["exec:/bin/true", "exec:./x.py"] {
            #expect(throws: RunError.self) { try RunConfiguration.from(json: "{\"defense\":[\"\(text)\"]}", path: "run.h5") }
        }
        #expect(throws: RunError.self) { try RunConfiguration.from(json: "{\"trigger\":\"badge.png\"}", path: "run.h5") }
    }

    /// Options of a rule or an attack that a training does not have leave its name alone.
    @Test func trainingsAreNamedByWhatTheyDependOn() throws {
        func name(_ change: (inout RunConfiguration) -> Void) throws -> String {
            var c = RunConfiguration()
            change(&c)
            return try c.reduced.trainingJSON()
        }
        let plain = try name { _ in }
        #expect(
            try name {
                $0[NormClip.limit] = 1; $0[DeepSight.images] = 7; $0[Neurotoxin.share] = 0.1; $0.coverFraction = 0.2
            } == plain)
        #expect(
            try name {
                $0.isa = "x"; $0.data = "y"; $0.synthetic = "z.h5"; $0.defenses = ["bounds"]
            } == plain)
        #expect(
            try name {
                $0.defenses = ["norm-clip"]; $0[NormClip.limit] = 1
            } != name { $0.defenses = ["norm-clip"] })
        #expect(
            try name {
                $0.attack = .classic; $0[Neurotoxin.share] = 0.1
            } != name { $0.attack = .classic })
        #expect(
            try name {
                $0.attack = .fm; $0[Neurotoxin.share] = 0.1
            } == name { $0.attack = .fm })
        // A user's own, by content: another program is another training, but for a defence on the model.
        let (a, b) = ("@rule:0123456789abcdef", "@rule:fedcba9876543210")
        #expect(try name { $0.defenses = ["exec:x\(a)"] } != name { $0.defenses = ["exec:x\(b)"] })
        #expect(try name { $0.defenses = ["exec:x@model-defense:0123456789abcdef"] } == plain)
        let place = try #require(PixelPlace(text: "1,2")), badge = "badge.png@trigger:0123456789abcdef"
        #expect(
            try name {
                $0.attack = .fm; $0[PictureTrigger.place] = place
            } == name { $0.attack = .fm })
        #expect(
            try name {
                $0.attack = .fm; $0.trigger = badge; $0[PictureTrigger.place] = place
            }
                != name {
                    $0.attack = .fm; $0.trigger = badge
                })
        #expect(!plain.contains("norm-clip") && !plain.contains("null") && plain.contains("\"rounds\":20"))
    }
}
