import Defenses
import Federation
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

    public var probe: Probe {
        Probe(defense: defense, trigger: configuration.trigger, target: configuration.target, allToAll: configuration.allToAll)
    }
}

/// A measurement on a clean training's model: a defence's model, or G, under a backdoor it never saw.
public struct Probe: Hashable, Sendable {
    public var defense: String?
    public var trigger: String, target: Int, allToAll: Bool

    /// The name that a file of floors has it under.
    var name: String { "\(defense ?? FedAvg.name) \(trigger) \(allToAll ? "all-to-all" : "\(target)")" }
}
