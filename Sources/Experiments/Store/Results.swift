import Federation
import OwnMethods
import Rules

/// All tables of a folder, filled with what its cells hold.
public struct Results: Sendable {
    public var setting: Setting
    public var tables: [TableResult]
    /// Trainings without whose run file some place is empty.
    public var missing: [String]
    /// From the user's paper.csv in the folder.
    var paper = PaperFigures()
    /// Pictures and activations of some trainings, in the plan's order.
    var illustrations: [(title: String, name: String, illustration: Illustration)] = []
    /// Instruction sets and program versions that the cells were computed with.
    public var instructionSets: [String], programVersions: [String]
    /// Every training of the plan, and how far it is.
    public var index = CellIndex()
    /// Trainings of which something was computed with an older revision, and why.
    public var stale: [(title: String, why: String)] = []
    /// Wall time of all trainings.
    public var seconds: Double

    init(setting: Setting, tables: [TableResult]) {
        (self.setting, self.tables, missing, instructionSets, programVersions, seconds) = (setting, tables, [], [], [], 0)
    }

    /// Reads every cell; needs no data.
    public init(_ plan: Plan, _ folder: ResultFolder, _ setting: Setting) throws {
        self.setting = setting
        var records: [String: CellRecord] = [:], floors: [String: [String: Double]] = [:]
        missing = []
        for training in plan.trainings {
            floors[training.key] = try folder.floors(of: training)
            let found = try folder.record(training)
            index.add(training, title: plan.title(of: training), found)
            guard let record = found, record.finishedRounds == training.configuration.rounds else {
                missing.append(plan.title(of: training))
                continue
            }
            // Where a defence on the model is still to be done, the other places that share the training are filled all the same.
            if !training.defenses.allSatisfy({ record.defended[$0] != nil }) { missing.append(plan.title(of: training)) }
            records[training.key] = record
            if let why = try folder.stale(training) { stale.append((plan.title(of: training), why)) }
        }
        tables = try plan.tables.map { try Self.filled($0, of: plan, with: records, floors: floors) }
        if let text = try TextFile.read(folder.paper) { paper = try PaperFigures(parsing: text, path: folder.paper, tables) }
        for training in plan.trainings where training.isIllustrated {
            guard let illustration = try folder.illustration(of: training) else { continue }
            let c = training.configuration
            illustrations.append(
                (
                    plan.title(of: training),
                    "\(c.attack.rawValue)-\(OwnMethod.shown(c.trigger).split(separator: ":").joined(separator: "-"))", illustration
                ))
        }
        instructionSets = Set(records.values.map(\.instructionSet)).sorted()
        programVersions = Set(records.values.map(\.programVersion)).sorted()
        seconds = records.values.reduce(0) { $0 + $1.seconds }
    }

    private static func filled(
        _ table: any Table, of plan: Plan, with records: [String: CellRecord], floors: [String: [String: Double]]
    ) throws -> TableResult {
        func everywhere<T>(_ body: (_ row: String, _ column: String) throws -> T) rethrows -> [[T]] {
            try table.rows.map { row in try table.columns.map { try body(row, $0) } }
        }
        var places = try everywhere { row, column in
            try plan.seeds.map { seed in
                var place = try measurement(plan.cell(table, row, column, seed), plan, records, floors)
                place.printed = table.printed(row, column, data: plan.setting.dataset)
                return place
            }
        }
        if let none = table.rows.firstIndex(of: FedAvg.name) {
            for row in places.indices {
                for column in places[row].indices {
                    for seed in places[row][column].indices {
                        places[row][column][seed].accuracyDrop =
                            places[none][column][seed].clientAccuracy - places[row][column][seed].clientAccuracy
                    }
                }
            }
        }
        let clean = table.columns.filter { column in
            table.rows.allSatisfy { plan.cell(table, $0, column, 0).map { $0.configuration.attack == .none } ?? true }
        }
        let curves = try everywhere { row, column in
            try plan.seeds.compactMap { seed -> Curve? in
                guard !(table is CostTable), let cell = plan.cell(table, row, column, seed), cell.defense == nil else { return nil }
                return records[try plan.training(cell).key]?.curve
            }
        }
        let first = plan.seeds.map { seed in
            table.rows.lazy.compactMap { row in table.columns.lazy.compactMap { plan.cell(table, row, $0, seed)?.configuration }.first }
                .first
        }
        return TableResult(
            name: table.name, caption: table.caption, claim: table.claim, rowTitle: table.rowTitle, legend: table.legend,
            measures: table.measures, rows: table.rows.map(OwnMethod.shown), columns: table.columns.map(OwnMethod.shown),
            seeds: zip(plan.seeds, first).map { $1?.seed ?? $0 },
            evaluateOn: first.first.flatMap { $0?.evaluateOn }, places: places,
            cleanColumns: Set(clean.map(OwnMethod.shown)), curves: curves, rowOptions: table.rowOptions,
            columnOptions: table.columnOptions, bars: table.bars)
    }

    private static func measurement(_ cell: Cell?, _ plan: Plan, _ records: [String: CellRecord], _ floors: [String: [String: Double]])
        throws -> Measurement
    {
        guard let cell, let record = records[try plan.training(cell).key], let rates = rates(cell, record) else { return .none }
        var result = Measurement(accuracy: rates.accuracy, attackSuccess: rates.attackSuccess, robustAccuracy: rates.robustAccuracy)
        (result.clientAccuracy, result.clientAttackSuccess) = (rates.clientAccuracy, rates.clientAttackSuccess)
        result.leftOut = record.leftOut
        let clean = try plan.training(cell.clean)
        result.floor =
            floors[clean.key]?[cell.probe.name]
            ?? (clean.probes.contains(cell.probe) ? nil : Self.rates(cell, records[clean.key])?.attackSuccess) ?? .nan
        if cell.configuration.attack == .none {
            result.attackSuccess = .nan
            if clean.probes.contains(cell.probe) { result.robustAccuracy = .nan }  // it is that of another trigger
        }
        result.cost = try cost(cell, plan, records)
        return result
    }

    /// What the cell's defence took, beside a round without any.
    private static func cost(_ cell: Cell, _ plan: Plan, _ records: [String: CellRecord]) throws -> Cost {
        var plain = cell
        (plain.configuration.defenses, plain.defense) = ([], nil)
        guard let mine = records[try plan.training(cell).key]?.cost, let round = records[try plan.training(plain).key]?.cost.round else {
            return Cost()
        }
        return (cell.defense.map { mine.defended[$0] ?? Cost() } ?? mine.round).shares(of: round)
    }

    private static func rates(_ cell: Cell, _ record: CellRecord?) -> CellRecord.Rates? {
        guard let defense = cell.defense else { return record?.final }
        return record?.defended[defense]
    }
}
