import Attacks
import Federation

/// Every attack with nothing against it: how strong is what the defences are held to?
public struct AttacksTable: Table {
    public static let name = "attacks"
    public let columns = ["none"]
    private let attacks: AttackRows

    public init(_ scale: Scale) {
        let triggers = [Attack.classic, .fm].flatMap { attack in
            (Triggers.names + scale.own.triggers).map { trigger in
                (attack, ConfigurationChange("\(attack.column), \(trigger)") { $0.trigger = trigger })
            }
        }
        attacks = AttackRows(
            triggers + [
                (.classic, ConfigurationChange("classic, patch, all to all") { $0.allToAll = true }),
                (.fm, ConfigurationChange("fm, patch, all to all") { $0.allToAll = true }),
                (.both, ConfigurationChange("both, patch") { _ in }),
                (.classic, ConfigurationChange("classic, patch, model replacement") { $0[ModelReplacement.boost] = .replacement }),
                (.classic, ConfigurationChange("classic, patch, PGD radius 1") { $0[ProjectedTraining.radius] = 1 }),
                (.classic, ConfigurationChange("classic, patch, Neurotoxin 0.05") { $0[Neurotoxin.share] = 0.05 }),
                (.classic, ConfigurationChange("classic, patch, inside the clean maxima") { $0[AdaptiveTraining.share] = 1 }),
            ] + scale.own.attacks("classic, patch"))
    }

    public var caption: String { "every attack without defence" }
    public var claim: String { "" }
    public var rowTitle: String { "attack" }
    public var rows: [String] { attacks.names }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { attacks.cell(row, column, base) }
}
