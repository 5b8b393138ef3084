import Bounds
import DefenseInterface
import Network
import OwnMethods

/// What clients of one shape share from round to round: their global model and all that belongs to it. Clients of different
/// shapes learn from each other in fusion alone.
///
/// Source: Bi and Li, arXiv 2410.17573, section on heterogeneous clients: FedAvg within a prototype, every prototype distilled
/// from the mean logits of all clients.
public struct Prototype: Sendable {
    public internal(set) var global: Parameters
    /// What the run's defence hands out with the last global model. No client, teacher or fusion meets them.
    public internal(set) var bounds: Bounds?
    /// What defences that work in every round carry, by their label.
    public internal(set) var carried: [String: CarriedState] = [:]
    /// The rule's, by name.
    public internal(set) var ruleState: [String: [Float]] = [:]
    /// What a user's own methods remember: the rule, by `ownRule`, and each malicious client.
    public internal(set) var ownStates: [String: OwnState] = [:]
    static let ownRule = "rule"
    /// The global model that no client had a part in yet, trained on FM data; nil where it was not trained at all.
    public internal(set) var initial: Parameters?
    /// The global model of the round before, where attackers remember it.
    public internal(set) var previousGlobal: Parameters?

    init(_ network: ClampNet) { global = Parameters(network) }

    public var network: ClampNet { global.network }
    public var head: Head { network.head }
}

/// A model with what it is handed out with.
public struct BoundedModel: Sendable {
    public var parameters: Parameters, bounds: Bounds

    public init(_ parameters: Parameters, _ bounds: Bounds? = nil) {
        (self.parameters, self.bounds) = (parameters, bounds ?? Bounds(parameters.network))
    }
}
