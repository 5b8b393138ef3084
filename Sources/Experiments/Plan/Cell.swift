import Attacks
import Defenses
import Federation
import Options
import Rules

/// One place of a table, for one seed: a training and which of its models is meant.
public struct Cell: Sendable {
    /// The training, without defences on the model.
    public var configuration: RunConfiguration
    /// The defence on the model; nil for G as it is.
    public var defense: String?

    /// - Parameter defense: a rule before aggregation or `screen`, which become part of the training, a defence on the model, or several:
    ///   "multi-krum + bounds".
    public init(_ base: RunConfiguration, attack: Attack, defense: String) {
        configuration = base
        configuration.attack = attack
        configuration.defenses = []
        for part in Self.parts(defense) {
            if AllDefenses.shapesTraining(part) {
                configuration.defenses.append(part)
            } else if part != FedAvg.name {
                self.defense = part
            }
        }
    }

    /// The defences that a combination names.
    static func parts(_ defense: String) -> [String] { Recommended.expanded(defense.split(separator: " + ").map(String.init)) }

    /// The same place without attack: where the floor is measured.
    public var clean: Cell {
        var clean = self
        clean.configuration.attack = .none
        return clean
    }

    public var probe: Probe { Probe(configuration, defense: defense) }
}

/// A measurement on a clean training's model: a defence's model, or G, under a backdoor it never saw.
public struct Probe: Hashable, Sendable {
    public var defense: String?
    public var trigger: String, target: Targets, allToAll: Bool
    /// Of the trigger's options, those that are not at their defaults.
    var options: [String: String]

    /// The backdoor of a configuration.
    init(_ c: RunConfiguration, defense: String?) {
        self.defense = defense
        (trigger, target, allToAll) = (c.trigger, c.target, c.allToAll)
        let changed = Triggers.settings.filter { setting in
            guard case .training(.triggered) = setting.effect, !setting.isStandard(in: c.values) else { return false }
            var attacked = c
            attacked.attack = .classic
            return attacked.depends(on: setting)
        }
        options = Dictionary(changed.map { ($0.name, $0.text(in: c.values)) }) { first, _ in first }
    }

    /// Whether two have the same backdoor.
    func isAlike(_ other: Probe) -> Bool {
        (trigger, target, allToAll) == (other.trigger, other.target, other.allToAll) && options == other.options
    }

    /// Gives a configuration this backdoor. Throws `SettingError`.
    func apply(to c: inout RunConfiguration) throws {
        (c.trigger, c.target, c.allToAll) = (trigger, target, allToAll)
        for setting in Triggers.settings { try c.set(setting.name, options[setting.name] ?? setting.standardText) }
    }

    /// The name that a file of floors has it under.
    var name: String {
        let texts = options.sorted { $0.key < $1.key }.map { " \($0.key) \($0.value)" }
        return "\(defense ?? FedAvg.name) \(trigger) \(allToAll ? "all-to-all" : "\(target)")" + texts.joined()
    }
}
