import Defenses
import Federation
import Rules

/// Every combination of the values of a grid: its attacks are the columns, the rest makes the rows, the first option changing slowest.
public struct SweepTable: Table {
    public static let name = "sweep"
    private let grid: Grid, attacks: [Attack]
    /// Options that the rows are made of; none where attacks and seeds alone vary.
    private let axes: [Grid.Option]
    /// For each row the places of its values in `axes`.
    private let places: [[Int]], positions: [String: Int]
    public let rows: [String], columns: [String]

    public init(_ scale: Scale) {
        grid = scale.grid
        attacks = grid.option(Grid.attack)?.values.compactMap { Attack(rawValue: $0) } ?? [.none]
        columns = attacks.map(\.column)
        axes = grid.varied.filter { $0.name != Grid.attack }
        places = axes.reduce([[]]) { rows, axis in rows.flatMap { row in axis.values.indices.map { row + [$0] } } }
        let alone = grid.option(Grid.defense)?.values[0] ?? FedAvg.name
        rows = places.map { [axes] row in row.isEmpty ? alone : zip(axes, row).map { $0.values[$1] }.joined(separator: ", ") }
        positions = Dictionary(zip(rows, rows.indices)) { first, _ in first }
    }

    public var caption: String {
        "every combination of \(grid.varied.isEmpty ? "one value each" : grid.varied.map(\.name).joined(separator: ", "))"
    }
    public var claim: String { "" }
    public var rowTitle: String { axes.isEmpty ? "defence" : axes.map(\.name).joined(separator: ", ") }
    public var measures: [Measure] { Measure.outcomes + (measuresClients ? Measure.ofClients : []) }
    public var rowOptions: [TableOption] {
        axes.indices.map { at in TableOption(name: axes[at].name, values: places.map { axes[at].values[$0[at]] }) }
    }
    public var columnOptions: [TableOption] {
        grid.option(Grid.attack).map { $0.isVaried ? [TableOption(name: $0.name, values: $0.values)] : [] } ?? []
    }

    private var measuresClients: Bool {
        grid.option(RunConfiguration.declarations.evaluateClients.name)?.values.contains(true.text) ?? false
    }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        guard let at = positions[row], let attack = Attack(column: column) else { return nil }
        var changed = base, defense = grid.option(Grid.defense)?.values[0] ?? FedAvg.name
        for (axis, place) in zip(axes, places[at]) {
            if axis.name == Grid.defense { defense = axis.values[place] } else { grid.apply(axis, place, to: &changed) }
        }
        changed.adaptToData()
        var cell = Cell(changed, attack: attack, defense: defense)
        for axis in axes where axis.isOfAnotherDefense(than: cell.defense) { cell.configuration.take(axis.name, from: base) }
        return cell
    }
}
