import Bounds
import Defenses
import Detection
import Federation

/// The bounds where they are meant to win: three triggers of different kinds, both ways in, beside the baselines that keep
/// accuracy. A rule alone is there for the classic attack only, which it sees. Meant for the scale `study`, with several seeds.
public struct BoundsTable: Table {
    public static let name = "bounds"
    private let crossed: CrossedRows
    public let columns = [Attack.classic, .fm].map(\.column)

    public init(_ scale: Scale) {
        crossed = CrossedRows(
            (["patch", "blend", "sig"] + scale.own.triggers).map { trigger in ConfigurationChange(trigger) { $0.trigger = trigger } },
            Self.existing([
                "none", "bounds", "bounds-unlearning", "unlearning", Vouching.name, scale.baselines[0],
                "\(scale.baselines[0]) + \(BoundedUnlearning.name)", Self.recommended, "clp", "fine-tuning",
            ]) + scale.own.defenses)
    }

    public var caption: String { "bounds under a local trigger and two that cover the image" }
    public var claim: String { "" }
    public var rowTitle: String { "trigger, defence" }
    public var rows: [String] { crossed.names }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        guard let cell = crossed.cell(row, Attack(column: column), base) else { return nil }
        let isRuleAlone = cell.defense == nil && !cell.configuration.defenses.isEmpty && !cell.configuration.vouches
        return column == Attack.fm.column && isRuleAlone ? nil : cell
    }
}
