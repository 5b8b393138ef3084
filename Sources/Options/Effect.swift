/// Where an option stands in help.
public enum Section: String, CaseIterable, Sendable {
    case attack = "attack", malicious = "malicious clients", defense = "defences", training = "clients and rounds",
        server = "server", evaluation = "evaluation"
    /// Files and machine: each command declares them for itself, since they mean something else in each.
    case command = "command"
}

/// What an option changes. From it follow the name of a training, what may change when a run is resumed, and which
/// trainings share a result.
public enum Effect: Equatable, Sendable {
    /// Nothing: where data lie (their digests are compared instead), how often is measured.
    case nothing
    /// How sums round, and so the last bits of everything.
    case rounding
    /// The training, where the condition holds.
    case training(Condition)
    /// The training with a part of its value, `Setting.init(part:)`; a list may grow by the rest when a run is resumed.
    case partly
    /// Every training; a run may go on to a larger value when it is resumed.
    case length
}

/// The trainings that an option changes.
public enum Condition: Equatable, Sendable {
    case always
    /// Attacked ones; of others, which floor is measured.
    case attackOrFloor
    case attacked
    /// With malicious clients.
    case clientsAttack
    /// With poisoned FM data.
    case syntheticAttack
    /// Those with this defence; where it acts on the finished model, no training, but the model that it leaves.
    case defended(by: String)
    /// Those with this trigger.
    case triggered(with: String)
}
