import Attacks
import Bounds
import DefenseInterface
import Defenses
import Detection
import Rules
import Federation
import Testing
@testable import Experiments

@Suite struct PlanTests {
    private let setting = Setting(
        scale: "smoke", dataset: "toy", datasetDigest: "d", synthetic: "holdout:10", syntheticDigest: "s",
        syntheticImages: 10_000, evaluateOn: .test, tables: ["main"], seeds: [1])

    private func key(_ change: (inout RunConfiguration) -> Void, digest: String = "d") throws -> String {
        var configuration = RunConfiguration()
        configuration.synthetic = "holdout:10"
        change(&configuration)
        return try Training(configuration, datasetDigest: digest, syntheticDigest: "s").key
    }

    @Test func keysNameWhatIsTrained() throws {
        let plain = try key { _ in }
        #expect(plain.count == 16)
        // Not part of a training: where the files are, the instruction set, defences on the model, and all about an attack without one.
        #expect(try key { $0.data = "elsewhere.h5" } == plain)
        #expect(try key { $0.isa = "baseline" } == plain)
        #expect(try key { $0.defenses = [BoundFit.name, FedAvg.name] } == plain)
        #expect(
            try key {
                $0.poisonFraction = 0.1; $0.trigger = "blend"; $0.target = 3; $0[Neurotoxin.share] = 0.1
            } == plain)
        #expect(
            try key {
                $0.attack = .fm; $0.poisonFraction = 0.1
            } == (try key { $0.attack = .fm }))
        // Part of it.
        let others = try [
            key { $0.seed = 2 }, key { $0.attack = .fm }, key { $0.attack = .classic }, key { $0.defenses = [MultiKrum.name] },
            key { $0.rounds = 3 }, key { $0.synthetic = "holdout:11" }, key({ _ in }, digest: "e"),
            key {
                $0.attack = .fm; $0.fmPoisonFraction = 0.1
            }, key { $0.defenses = [Vouching.name] },
        ]
        #expect(Set(others + [plain]).count == others.count + 1)
    }

    @Test func aTrainingIsSharedByDefencesOnTheModel() throws {
        let plan = try Plan(setting)
        #expect(plan.trainings.count == 12)  // none, norm-clip, multi-krum, this with vouching x clean, classic, fm
        #expect(Set(plan.trainings.map(\.key)).count == 12)
        for training in plan.trainings {
            #expect(
                training.defenses
                    == (training.configuration.defenses.isEmpty
                        ? [BoundFit.name] : training.configuration.vouches ? [BoundedUnlearning.name] : []))
            #expect(training.probes.isEmpty, "the clean column measures these floors")
        }
    }

    @Test func shardsShareTheWork() throws {
        let plan = try Plan(setting), sizes = DataSizes(train: 60_000, test: 10_000, generated: nil)
        for count in [1, 2, 3, 9, 20] {
            let parts = (1...count).map { plan.shard($0, of: count, sizes) }
            #expect(parts.flatMap { $0.map(\.key) }.sorted() == plan.trainings.map(\.key).sorted(), "every training once")
        }
        let loads = (1...3).map { plan.shard($0, of: 3, sizes).reduce(0) { $0 + $1.passes(sizes) } }
        #expect((loads.max() ?? 0) <= 1.2 * (loads.min() ?? 0))
    }

    /// The longest of 16 parts is no more than 1.2 of the ideal, in passes of images.
    @Test func sixteenPartsOfThePaper() throws {
        var paper = setting
        (paper.scale, paper.seeds) = ("paper", [1, 2, 3])
        let plan = try Plan(paper), sizes = DataSizes(train: 60_000, test: 10_000, generated: nil)
        let loads = (1...16).map { plan.shard($0, of: 16, sizes).reduce(0) { $0 + $1.passes(sizes) } }
        #expect(plan.trainings.count >= 100)
        #expect(Double(loads.max() ?? 0) * 16 <= 1.2 * Double(loads.reduce(0, +)))
    }

    @Test func balanceGivesTheLongestToTheLeastLoaded() {
        #expect(Plan.balanced([1, 5, 4, 2], parts: 2) == [0, 0, 1, 1])
        #expect(Plan.balanced([1, 1, 1], parts: 2) == [0, 1, 0])
        #expect(Plan.balanced([], parts: 3).isEmpty)
    }

    @Test func everyTableOfEveryScaleCanBePlanned() throws {
        for scale in Scale.all {
            for name in Tables.names {
                var one = setting
                (one.scale, one.tables) = (scale.name, [name])
                let plan = try Plan(one)
                #expect(!plan.trainings.isEmpty, "\(name) at \(scale.name)")
                for training in plan.trainings {
                    var configuration = training.configuration
                    configuration.defenses += training.defenses
                    try configuration.validate()
                    _ = try configuration.makeDefenses()
                }
            }
        }
    }

    /// Of the rules, which see clients alone, one stands in table bounds, under the classic attack, and under both with a defence on
    /// its model: 3 triggers x 2 attacks x (none, Multi-Krum) x (vouched for, not), and four clean trainings for the floors.
    @Test func tableBoundsHasARuleAloneUnderTheClassicAttackOnly() throws {
        var study = setting
        (study.scale, study.tables) = ("study", [BoundsTable.name])
        let plan = try Plan(study), table = plan.tables[0]
        #expect(plan.trainings.count == 3 * 2 * 4 + 4)
        #expect(plan.cell(table, "sig, multi-krum", "fm", 1) == nil && plan.cell(table, "sig, multi-krum", "classic", 1) != nil)
        for training in plan.trainings where !training.configuration.vouches {
            let isRule = training.configuration.defenses.contains(MultiKrum.name)
            #expect(training.defenses.contains(BoundFit.name) != isRule && training.defenses.contains(BoundedUnlearning.name))
        }
    }

    @Test func aCombinationIsTrainedWithItsRuleAndDefendedAfter() throws {
        let cell = Cell(RunConfiguration(), attack: .fm, defense: "multi-krum + bounds-unlearning")
        #expect(cell.configuration.defenses == [MultiKrum.name] && cell.defense == BoundedUnlearning.name)
        #expect(cell.clean.configuration.defenses == [MultiKrum.name] && cell.clean.probe.defense == BoundedUnlearning.name)
        #expect(StrengthTable.existing(["multi-krum + bounds", "multi-krum + nothing"]) == ["multi-krum + bounds"])
        #expect(StrengthTable(.quick).legend.contains("A + B") && !CostTable(.quick).legend.contains("A + B"))
        let all = Cell(RunConfiguration(), attack: .fm, defense: "multi-krum + vouching + bounds-unlearning")
        #expect(all.configuration.defenses == [MultiKrum.name, Vouching.name] && all.defense == BoundedUnlearning.name)
    }

    @Test func settingsGrowButDoNotMix() throws {
        var other = setting
        (other.seeds, other.synthetic) = ([2, 1], "another name of the same data")
        let joined = try setting.joined(with: other, at: "out")
        #expect(joined.seeds == [1, 2] && joined.tables == ["main"])
        for change in [{ $0.scale = "quick" }, { $0.datasetDigest = "x" }, { $0.syntheticDigest = "x" }, { $0.evaluateOn = .dev }]
            as [(inout Setting) -> Void]
        {
            var wrong = setting
            change(&wrong)
            #expect(throws: RunError.self) { try setting.joined(with: wrong, at: "out") }
        }
        #expect(try Setting(parsing: lines(setting.text), path: "setting.txt") == setting)
        #expect(throws: RunError.self) { try Setting(parsing: lines("scale = smoke\n"), path: "setting.txt") }
    }
}
