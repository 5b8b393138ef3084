import Attacks
import Bounds
import Defenses
import Federation
import ModelDefenses
import struct Options.SettingError
import Rules
import Testing
@testable import Experiments

@Suite struct GridTests {
    private func grid(_ options: [(String, String)]) throws -> Grid {
        var grid = Grid()
        for (name, text) in options { try grid.add(name, text) }
        return grid
    }

    private func sweep(_ options: [(String, String)], seeds: [UInt64] = [1]) throws -> Setting {
        Setting(
            scale: Scale.sweep.name, dataset: "toy", datasetDigest: "d", synthetic: "fm.h5", syntheticDigest: "s", syntheticImages: 100,
            evaluateOn: .test,
            tables: [SweepTable.name], seeds: seeds, grid: try grid(options))
    }

    private func tables(_ names: [String], _ options: [(String, String)], scale: String = "quick") throws -> Setting {
        Setting(
            scale: scale, dataset: "toy", datasetDigest: "d", synthetic: "fm.h5", syntheticDigest: "s", syntheticImages: .max,
            evaluateOn: .test,
            tables: names, seeds: [1], grid: try grid(options))
    }

    @Test func valuesAreReadAsRunReadsThem() throws {
        let one = try grid([
            ("lr", " 0.10 | 2e-2"), ("heads", "1x128,2x192 | none"), ("all-to-all", "true|false"), ("images-per-client", "all | 100"),
            ("defense", "none | multi-krum + bounds"), ("rounds", "3"),
        ])
        #expect(
            one.options.map(\.text) == ["0.1 | 0.02", "1x128,2x192 | none", "true | false", "all | 100", "none | multi-krum + bounds", "3"])
        #expect(
            one.varied.map(\.name) == ["lr", "heads", "all-to-all", "images-per-client", "defense"] && one.fixed.map(\.name) == ["rounds"])
        #expect(one.count == 32)
    }

    @Test func whatIsNoGridIsRefused() throws {
        let wrong = [
            ("lr", ""), ("lr", "|"), ("lr", "0.1 |"), ("lr", "0.1 | 0.1"), ("lr", "x"), ("lrr", "1"), ("seed", "1"), ("data", "x.h5"),
            ("defense", "krum bounds"),
            ("defense", "none + krum"), ("defense", "clp + bounds"), ("defense", "krum + krum"), ("defense", "recommended + clp"),
            ("defense", "nothing"),
        ]
        for (name, text) in wrong { #expect(throws: SettingError.self, "\(name) = \(text)") { try grid([(name, text)]) } }
        #expect(throws: SettingError.self) { try grid([("lr", "1"), ("lr", "2")]) }
        #expect(try grid([("defense", "recommended")]).options[0].text == "recommended")
    }

    @Test func aSettingKeepsItsGrid() throws {
        for setting in [
            try sweep([("lr", "0.1 | 0.2"), ("defense", "none | krum + clp"), ("heads", "none,1x128 | none")], seeds: [1, 2]),
            try tables(["main", "cost"], [("rounds", "10"), ("partition", "dirichlet:0.3")]),
        ] {
            #expect(try Setting(parsing: lines(setting.text), path: "setting.txt") == setting)
        }
        let text = try sweep([("lr", "0.1 | 0.2")]).text
        for (from, to) in [
            ("0.1 |", "fast |"), ("option lr", "option lrr"), ("tables = sweep", "tables = main"), ("0.1 | 0.2", "0.1 | 0.1"),
        ] {
            let changed = text.split(separator: from, omittingEmptySubsequences: false).joined(separator: to)
            #expect(changed != text)
            #expect(throws: RunError.self, "\(to)") { try Setting(parsing: lines(changed), path: "setting.txt") }
        }
        let asks = try sweep([("defense", "none | exec:./mine.py")]).text, table = try tables(["main"], [("lr", "0.1 | 0.2")]).text
        for text in [asks, table] { #expect(throws: RunError.self) { try Setting(parsing: lines(text), path: "setting.txt") } }
    }

    @Test func settingsOfOtherGridsDoNotMix() throws {
        let plain = try tables(["main"], []), set = try tables(["main"], [("rounds", "10")]),
            other = try tables(["main"], [("rounds", "20")])
        for (a, b, says) in [
            (plain, set, "rounds is 10, not what the tables have"), (set, plain, "rounds is what the tables have, not 10"),
            (set, other, "rounds is 20, not 10"),
        ] {
            #expect(performing: { try a.joined(with: b, at: "out") }, throws: { "\($0)".contains(says) })
        }
        #expect(try set.joined(with: set, at: "out") == set)
        let old = try sweep([("defense", "none | exec:a@rule:0123456789abcdef")]),
            new = try sweep([("defense", "none | exec:a@rule:0123456789abcde0")])
        #expect(throws: RunError.self) { try new.joined(with: old, at: "out") }
        #expect(
            try new.joined(with: old, at: "out", replacesOwn: true).grid == new.grid,
            "a program that was changed since takes the place of the old one")
    }

    @Test func aSweepIsATable() throws {
        let setting = try sweep(
            [("clients", "8"), ("partition", "iid | shards:2"), ("attack", "fm | none"), ("defense", "none | multi-krum + clp")],
            seeds: [1, 2])
        let plan = try Plan(setting), table = plan.tables[0]
        #expect(
            table.rows == ["iid, none", "iid, multi-krum + clp", "shards:2, none", "shards:2, multi-krum + clp"]
                && table.columns == ["fm", "clean"])
        #expect(
            table.rowTitle == "partition, defense" && table.rowOptions.map(\.name) == ["partition", "defense"]
                && table.columnOptions[0].values == ["fm", "none"])
        #expect(table.rowOptions[0].values == ["iid", "iid", "shards:2", "shards:2"])
        #expect(plan.trainings.count == 2 * 2 * 2 * 2 && plan.trainings.allSatisfy { $0.configuration.clients == 8 })
        let cell = try #require(plan.cell(table, "shards:2, multi-krum + clp", "fm", 2))
        #expect(
            cell.configuration.attack == .fm && cell.configuration.seed == 2 && cell.configuration.defenses == [MultiKrum.name]
                && cell.defense == LipschitzPruning.name)
        #expect(plan.title(of: plan.trainings[0]) == "none, fm, partition iid, seed 1", "what all have in common is not named")
        try plan.checkGrid()
        try plan.checkOptions()
        let alone = try Plan(try sweep([("defense", "krum"), ("clients", "8")])).tables[0]
        #expect(alone.rows == ["krum"] && alone.columns == ["clean"] && alone.rowOptions.isEmpty)
    }

    /// One run file has one model of a defence: what differs in that defence's options is trained each, and those without the defence once.
    @Test func optionsOfADefenceOnTheModel() throws {
        let plan = try Plan(try sweep([("pruning-share", "0.1 | 0.2 | 0.3"), ("defense", "none | pruning"), ("attack", "none")]))
        #expect(plan.trainings.count == 3, "0.2, the default, goes with those without")
        #expect(Set(plan.trainings.map(\.key)).count == 3 && plan.trainings.allSatisfy { $0.defenses == [FederatedPruning.name] })
        #expect(Set(plan.trainings.map { plan.title(of: $0) }).count == 3)
        try plan.checkGrid()
    }

    @Test func whatATableVariesItselfCannotBeSet() throws {
        for (table, name, value) in [
            ("main", "attack", "fm"), ("main", "defense", "clp"), ("strength", "malicious", "1"), ("strength", "synthetic-limit", "500"),
            ("settings", "clients", "20"),
            ("ablation", "fusion-epochs", "0"), ("triggers", "trigger", "sig"), ("paper-1", "participation", "0.5"),
            ("cost", "target", "3"),
        ] {
            let plan = try Plan(try tables([table], [(name, value)]))
            #expect(throws: SettingError.self, "\(table): \(name)") { try plan.checkGrid() }
        }
        for (table, name, value) in [
            ("main", "trigger", "sig"), ("strength", "clients", "20"), ("paper-1", "rounds", "7"), ("cost", "norm-clip-limit", "2"),
            ("main", "bounds-paper-lr", "0.1"), ("distribution", "malicious", "1"), ("main", "evaluate-every", "2"),
        ] {
            let plan = try Plan(try tables([table], [(name, value)]))
            try plan.checkGrid()
            let setting = try RunConfiguration.settings.named(name)
            #expect(
                plan.trainings.allSatisfy { setting.text(in: $0.configuration.values) == value || !$0.configuration.depends(on: setting) },
                "\(table): \(name)")
            #expect(plan.trainings.contains { setting.text(in: $0.configuration.values) == value })
        }
    }

    @Test func whatChangesNoFigureIsNotWorthASweep() throws {
        for options in [
            [("evaluate-every", "1 | 2")], [("attack", "none"), ("poison-fraction", "0.1 | 0.2")],
            [("defense", "none"), ("norm-clip-limit", "1 | 2")],
        ] {
            let plan = try Plan(try sweep(options))
            #expect(throws: SettingError.self, "\(options)") { try plan.checkGrid() }
        }
        for options in [
            [("clients", "4 | 8"), ("malicious", "2"), ("defense", "multi-krum")], [("clients", "2 | 8"), ("malicious", "3")],
            [("defense", "krum + median")],
        ] {
            let plan = try Plan(try sweep(options))
            #expect(throws: PlanError.self, "\(options)") { try plan.checkOptions() }
        }
    }

    /// Without `--set` nothing changes: the keys of all trainings are those that folders of before have.
    @Test func anEmptyGridChangesNoKey() throws {
        let plan = try Plan(try tables(["main"], []))
        let bare = try Training(plan.trainings[3].configuration, datasetDigest: "d", syntheticDigest: "s")
        #expect(plan.trainings[3].key == bare.key)
    }
}
