import Bounds
import Defenses
import Federation
import Options
import OwnMethods

/// Every training that some tables need, each once.
public struct Plan: Sendable {
    public let tables: [any Table]
    public let seeds: [UInt64]
    /// In the order in which the tables ask for them.
    public private(set) var trainings: [Training] = []
    private var positions: [String: Int] = [:]
    let setting: Setting
    public let base: RunConfiguration
    /// Options of defences on the model that a sweep varies.
    private let variedOfDefenses: [String]

    /// Rows and columns to compute; where none are named, all.
    public struct Part: Sendable {
        public var rows: [String], columns: [String]

        public init(rows: [String] = [], columns: [String] = []) { (self.rows, self.columns) = (rows, columns) }

        public var isWhole: Bool { rows.isEmpty && columns.isEmpty }

        func includes(_ row: String, _ column: String) -> Bool {
            (rows.isEmpty || rows.contains(OwnMethod.shown(row))) && (columns.isEmpty || columns.contains(OwnMethod.shown(column)))
        }

        /// Throws `SettingError` for a name that no table has.
        func check(_ tables: [any Table]) throws {
            for (option, names, there) in [
                ("row", rows, tables.flatMap(\.rows).map(OwnMethod.shown)),
                ("column", columns, tables.flatMap(\.columns).map(OwnMethod.shown)),
            ] {
                guard let stranger = names.first(where: { !there.contains($0) }) else { continue }
                var known: [String] = []
                for name in there where !known.contains(name) { known.append(name) }
                throw SettingError(option, given: stranger, expected: "one of: \(known.joined(separator: "; "))")
            }
        }
    }

    /// - Throws: `RunError.incompatible` for a table or scale that this version does not have, `SettingError` for a part that no table has.
    public init(_ setting: Setting, only part: Part = Part()) throws {
        guard var scale = Scale.named(setting.scale) else {
            throw RunError.incompatible("there is no scale \(setting.scale) in this version")
        }
        (scale.own, scale.grid) = (OwnRows(setting.own), setting.grid)
        setting.grid.apply(to: &scale.base)
        self.setting = setting
        seeds = setting.seeds
        tables = try setting.tables.map { [scale] name in
            guard let table = Tables.make(name, scale) else { throw RunError.incompatible("there is no table \(name) in this version") }
            return table
        }
        var base = scale.base
        base.synthetic = setting.synthetic
        base.evaluateOn = setting.evaluateOn
        self.base = base
        variedOfDefenses = setting.grid.varied.filter { $0.defenseOnModel != nil }.map(\.name)
        try part.check(tables)
        for table in tables {
            for seed in seeds {
                for column in table.columns {
                    for row in table.rows where part.includes(row, column) { try add(table, row, column, seed) }
                }
            }
        }
        for at in trainings.indices { trainings[at].isIllustrated = isIllustrated(trainings[at]) }
    }

    /// Of the tables in which triggers and attacks vary, attacked trainings of the first seed, undefended, whose bounds are fitted.
    private func isIllustrated(_ training: Training) -> Bool {
        training.configuration.attack != .none && training.configuration.defenses.isEmpty && training.configuration.seed == seeds.first
            && training.defenses.contains(BoundFit.name)
            && training.tables.contains { [MainTable.name, BoundsTable.name, TriggersTable.name].contains($0) }
    }

    private mutating func add(_ table: any Table, _ row: String, _ column: String, _ seed: UInt64) throws {
        guard let cell = cell(table, row, column, seed) else { return }
        try add(cell, table.name)
        guard table.showsFloors else { return }
        let clean = try add(cell.clean, table.name), known = trainings[clean].configuration
        let probe = cell.probe
        if !probe.isAlike(Probe(known, defense: nil)), !trainings[clean].probes.contains(probe) { trainings[clean].probes.append(probe) }
    }

    @discardableResult
    private mutating func add(_ cell: Cell, _ table: String) throws -> Int {
        let training = try self.training(cell)
        let at = positions[training.key] ?? trainings.count
        if at == trainings.count {
            positions[training.key] = at
            trainings.append(training)
        }
        if let defense = cell.defense, !trainings[at].defenses.contains(defense) { trainings[at].defenses.append(defense) }
        if !trainings[at].tables.contains(table) { trainings[at].tables.append(table) }
        return at
    }

    /// The cell at a place; nil where the table has none, or asks for more FM images than there are.
    func cell(_ table: any Table, _ row: String, _ column: String, _ seed: UInt64) -> Cell? {
        var seeded = base
        seeded.seed = seed
        guard var cell = table.cell(row, column, seeded) else { return nil }
        setting.grid.apply(to: &cell.configuration)
        let limit = cell.configuration.syntheticLimit
        return limit == base.syntheticLimit || limit ?? 0 <= setting.syntheticImages ? cell : nil
    }

    /// For people: a training, and what sets it apart among those of its table.
    public func title(of training: Training) -> String {
        var common = tables.first { training.tables.contains($0.name) }?.base(base) ?? base
        setting.grid.apply(to: &common)
        return OwnMethod.shown(training.title(beside: common, naming: setting.grid.varied.map(\.name)))
    }

    /// The training that a cell belongs to.
    func training(_ cell: Cell) throws -> Training { try training(cell.configuration) }

    /// The training with a configuration.
    func training(_ configuration: RunConfiguration) throws -> Training {
        let bare = try Training(
            configuration, datasetDigest: setting.datasetDigest, syntheticDigest: setting.syntheticDigest, varying: variedOfDefenses)
        return positions[bare.key].map { trainings[$0] } ?? bare
    }

    /// The trainings of part `index` of `count` (from 1): the longest first, each to the part with least to do, so that
    /// parts take about the same number of passes.
    public func shard(_ index: Int, of count: Int, _ sizes: DataSizes) -> [Training] {
        let parts = Self.balanced(trainings.map { $0.passes(sizes) }, parts: count)
        return trainings.indices.filter { parts[$0] == index - 1 }.map { trainings[$0] }
    }

    /// The part, from 0, that each weight goes to.
    static func balanced(_ weights: [Double], parts: Int) -> [Int] {
        var loads = [Double](repeating: 0, count: parts), result = [Int](repeating: 0, count: weights.count)
        for item in weights.indices.sorted(by: { (-weights[$0], $0) < (-weights[$1], $1) }) {
            let least = loads.indices.min { (loads[$0], $0) < (loads[$1], $1) } ?? 0
            loads[least] += weights[item]
            result[item] = least
        }
        return result
    }
}
