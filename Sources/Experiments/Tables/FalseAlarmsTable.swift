import Datasets
import Federation

/// What defences cost where nobody attacks: FM data with wrong labels, of uneven classes, few; clients that are unlike each other.
public struct FalseAlarmsTable: Table {
    public static let name = "false-alarms"
    private let data: AttackRows
    public let columns: [String]

    public init(_ scale: Scale) {
        let changes = [
            ConfigurationChange("as they are") { _ in },
            ConfigurationChange("10 % of the FM labels wrong") { $0.labelNoise = 0.1 },
            ConfigurationChange("20 % of the FM labels wrong") { $0.labelNoise = 0.2 },
            ConfigurationChange("FM classes from 10 to 1") { $0.imbalance = 10 },
            ConfigurationChange("a quarter of the FM images") { c in c.syntheticLimit = c.syntheticLimit.map { $0 / 4 } },
            ConfigurationChange("clients dirichlet:0.1") { $0.partition = .dirichlet(0.1) },
            ConfigurationChange("clients dirichlet:0.1, 10 % of the FM labels wrong") {
                ($0.partition, $0.labelNoise) = (.dirichlet(0.1), 0.1)
            },
        ]
        data = AttackRows(changes.map { (attack: .none, variant: $0) })
        columns = Self.existing(["none", "vouching", Self.recommended, Self.answers, "multi-krum"]) + scale.own.defenses
    }

    public var caption: String { "what defences cost without attack" }
    public var claim: String { "" }
    public var rowTitle: String { "data" }
    public var rows: [String] { data.names }
    public var measures: [Measure] { Measure.falseAlarms }
    public var bars: Bars? { nil }
    public var legend: String { "ACC: clean images right. Where FM labels are wrong, images should be left out." }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { data.cell(row, column, base) }
}
