import Network
import Tensor

/// What a client sends after local training.
public struct ClientUpdate: Sendable {
    public var client: Int
    /// Images it trained on: its weight in FedAvg.
    public var images: Int
    public var parameters: Parameters

    public init(client: Int, images: Int, parameters: Parameters) {
        self.client = client
        self.images = images
        self.parameters = parameters
    }
}

/// A model that teaches in fusion, and how much its logits count (weights need not sum to 1).
public struct Teacher: Sendable {
    public var parameters: Parameters
    public var weight: Double

    public init(_ parameters: Parameters, weight: Double = 1) {
        self.parameters = parameters
        self.weight = weight
    }
}

/// What a rule makes of a round's updates.
public struct Aggregate: Sendable {
    public var model: Parameters
    /// What the rule lets through (product: fusion's teachers).
    public var teachers: [Teacher]
    /// Client numbers that the rule turned away; nil when it rejects nobody by design.
    public var rejected: [Int]?

    public init(model: Parameters, teachers: [Teacher], rejected: [Int]? = nil) {
        self.model = model
        self.teachers = teachers
        self.rejected = rejected
    }
}

/// What a rule may know besides the updates.
public struct RuleContext {
    /// Assumed number of malicious clients, f.
    public var assumedMalicious: Int
    public var seed: UInt64
    public var round: Int
    public var threads: Int
    /// Memory from round to round, by name (FoolsGold's history by client); saved with the run.
    public var memory: [String: [Float]]

    public init(assumedMalicious: Int, seed: UInt64, round: Int, threads: Int, memory: [String: [Float]] = [:]) {
        self.assumedMalicious = assumedMalicious
        self.seed = seed
        self.round = round
        self.threads = threads
        self.memory = memory
    }
}

/// A defence before aggregation. Distances, norms and cosines run over the whole flattened vector of parameters in
/// double; ties go to the lower client number.
public protocol AggregationRule: Sendable {
    /// The name on the command line.
    static var name: String { get }
    init()
    /// Throws `DefenseError` when the rule's conditions do not hold.
    func aggregate(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate
}

/// All rules. Adding one: a file with its type, and its line here.
public enum AggregationRules {
    public static let all: [any AggregationRule.Type] = [FedAvg.self, NormClip.self, MultiKrum.self]

    public static var names: [String] { all.map { $0.name } }

    public static func make(_ name: String) -> (any AggregationRule)? { all.first { $0.name == name }?.init() }
}

public enum DefenseError: Error, CustomStringConvertible {
    case tooFewClients(rule: String, needs: String, clients: Int, malicious: Int)
    case syntheticData(String)
    case model(String)

    public var description: String {
        switch self {
        case let .tooFewClients(rule, needs, clients, malicious):
            "\(rule) needs \(needs): got n = \(clients) clients this round with f = \(malicious) assumed malicious"
        case let .syntheticData(text), let .model(text): text
        }
    }
}
