import Attacks
import Federation

/// Attackers who know the defence, or hide from others.
public struct AdaptiveTable: Table {
    public static let name = "adaptive"
    public let columns: [String]
    private let attacks: AttackRows

    public init(_ scale: Scale) {
        columns = Self.compared(scale)
        attacks = AttackRows(
            [
                (.classic, ConfigurationChange("classic, as in main") { _ in }),
                (.classic, ConfigurationChange("classic, trains inside the clean maxima") { $0[AdaptiveTraining.share] = 1 }),
                (.classic, ConfigurationChange("classic, trains inside half of the clean maxima") { $0[AdaptiveTraining.share] = 0.5 }),
                (
                    .classic,
                    ConfigurationChange("classic, inside the clean maxima, model replacement") {
                        ($0[AdaptiveTraining.share], $0[ModelReplacement.boost]) = (1, .replacement)
                    }
                ),
                (.classic, ConfigurationChange("classic, Neurotoxin 0.05") { $0[Neurotoxin.share] = 0.05 }),
                (.classic, ConfigurationChange("classic, PGD radius 1") { $0[ProjectedTraining.radius] = 1 }),
                (.classic, ConfigurationChange("classic, critical layers alone (LP)") { $0[LayerwisePoisoning.threshold] = 0.95 }),
                (.fm, ConfigurationChange("fm, as in main") { _ in }),
                (.fm, ConfigurationChange("fm, cover of 20 %") { $0.coverFraction = 0.2 }),
                (
                    .fm,
                    ConfigurationChange("fm, 5 % poisoned with a cover of 5 %") { ($0.fmPoisonFraction, $0.coverFraction) = (0.05, 0.05) }
                ),
            ] + scale.own.attacks("classic"))
    }

    public var caption: String { "attackers who know the bounds, or hide from other defences" }
    public var claim: String { "" }
    public var rowTitle: String { "attacker" }
    public var rows: [String] { attacks.names }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { attacks.cell(row, column, base) }
}
