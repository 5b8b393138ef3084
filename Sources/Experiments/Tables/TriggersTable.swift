import Attacks
import Defenses
import Detection
import Federation

/// Every trigger against the defences that see the FM data.
public struct TriggersTable: Table {
    public static let name = "triggers"
    private let crossed: CrossedRows
    public let columns = [Attack.classic, .fm].map(\.column)

    public init(_ scale: Scale) {
        crossed = CrossedRows(
            (Triggers.names + scale.own.triggers).map { trigger in ConfigurationChange(trigger) { $0.trigger = trigger } },
            Self.existing([
                "none", "bounds", "bounds-paper", "bounds-unlearning", "unlearning", Vouching.name, Self.answers, Self.recommended, "mm-bm",
                "fine-tuning", "clp",
            ]) + scale.own.defenses)
    }

    public var caption: String { "every trigger against the defences that see the FM data" }
    public var claim: String { "" }
    public var rowTitle: String { "trigger, defence" }
    public var rows: [String] { crossed.names }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        crossed.cell(row, Attack(column: column), base)
    }
}
