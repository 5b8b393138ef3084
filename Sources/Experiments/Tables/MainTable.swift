import Defenses
import Federation

/// Every defence against every attack, and those together that complement each other.
public struct MainTable: Table {
    public static let name = "main"
    public private(set) var rows: [String]
    private let attacks: AttackRows

    public init(_ scale: Scale) {
        rows = scale.defenses ?? AllDefenses.names + [Self.answers, Self.recommended]
        rows += scale.own.defenses
        attacks = AttackRows(
            scale.attacks.map { attack in (attack, ConfigurationChange(attack.column) { _ in }) }
                + scale.own.columns(beside: scale.attacks))
    }

    public var columns: [String] { attacks.names }
    public var caption: String { "every defence against every attack, IID clients" }

    public var claim: String {
        "Bi and Li (arXiv 2410.17573) report that bounds on activations, fitted on the FM data, keep the attack success rate low under the "
            + "novel (fm) and the classic attack at nearly unchanged accuracy, while defences that look at client updates do not stop the novel one."
    }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        attacks.cell(column, row, base)
    }
}

extension Attack {
    /// The attack as a column's name.
    public var column: String { self == .none ? "clean" : rawValue }

    public init?(column: String) { self.init(rawValue: column == "clean" ? "none" : column) }
}
