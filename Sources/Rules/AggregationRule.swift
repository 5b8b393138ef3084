import Attacks
import Datasets
import DefenseInterface
import KernelTable
import Network
import Options
import OwnMethods
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
    private let source: Parameters
    /// Scales the source's update of this model; nil for the source itself.
    private let scaling: (factor: Double, global: Parameters)?
    public var weight: Double

    public init(_ parameters: Parameters, weight: Double = 1) {
        (source, scaling, self.weight) = (parameters, nil, weight)
    }

    /// G + factor (W - G), made when it is asked for: nobody asks where there is no fusion.
    init(_ parameters: Parameters, scaledBy factor: Double, around global: Parameters, weight: Double = 1) {
        (source, scaling, self.weight) = (parameters, factor == 1 ? nil : (factor, global), weight)
    }

    /// The model; a scaled one is made anew each time.
    public var parameters: Parameters { scaling.map { weightedSum($0.global, [source], [$0.factor]) } ?? source }
}

/// What a rule makes of a round's updates.
public struct Aggregate: Sendable {
    public var model: Parameters
    /// What the rule lets through (product: fusion's teachers); never empty.
    public var teachers: [Teacher]
    /// Client numbers that the rule turned away, ascending; nil when it rejects nobody by design.
    public var rejected: [Int]?
    /// What a reader of the results must know: a condition that did not hold and how the rule went on.
    public var notes: [String]

    public init(model: Parameters, teachers: [Teacher], rejected: [Int]? = nil, notes: [String] = []) {
        self.model = model
        self.teachers = teachers
        self.rejected = rejected
        self.notes = notes
    }

    /// Of a rule that lets nobody through: the global model stays, and is its own teacher.
    static func noStep(_ global: Parameters, rejecting updates: [ClientUpdate]) -> Aggregate {
        Aggregate(model: Parameters(copying: global), teachers: [Teacher(global)], rejected: updates.map(\.client))
    }
}

/// What the server can do for a rule besides arithmetic, with its FM data and its machine.
public struct RuleServer {
    /// The global model after local training as a client does it, on the server's root set of FM images.
    public var train: () -> Parameters
    /// Logits (count, classes) of a model on `count` network inputs that `load(i, x)` writes.
    public var logits: (_ model: Parameters, _ count: Int, _ load: (Int, UnsafeMutablePointer<Float>) -> Void) -> [Float]
    /// Turns pixels in [0, 1] into network inputs.
    public var normalization: Normalization
    /// Height and width of the data's own images, 28 or 32.
    public var side: Int
    /// The FM images that are trusted; nil where a test has none.
    public var synthetic: Samples?

    public init(
        normalization: Normalization, side: Int, synthetic: Samples? = nil, train: @escaping () -> Parameters,
        logits: @escaping (Parameters, Int, (Int, UnsafeMutablePointer<Float>) -> Void) -> [Float]
    ) {
        self.normalization = normalization
        self.side = side
        self.synthetic = synthetic
        self.train = train
        self.logits = logits
    }
}

/// What a rule may know besides the updates.
public struct RuleContext {
    /// Assumed number of malicious clients, f.
    public var assumedMalicious: Int
    public var seed: UInt64
    public var round: Int
    public var threads: Int
    /// What pairs of models are compared with; no result depends on the instruction set.
    public var kernels: KernelTable
    /// What the rule keeps from round to round, by name (FoolsGold's history by client); saved with the run.
    public var state: [String: [Float]]
    /// The same for a user's own rule.
    public var ownState: OwnState = [:]
    /// Nil where there is no FM data at hand: rules that need it then refuse.
    public var server: RuleServer?

    public init(
        assumedMalicious: Int, seed: UInt64, round: Int, threads: Int, kernels: KernelTable = InstructionSet.best.kernels,
        state: [String: [Float]] = [:], server: RuleServer? = nil
    ) {
        self.assumedMalicious = assumedMalicious
        self.seed = seed
        self.round = round
        self.threads = threads
        self.kernels = kernels
        self.state = state
        self.server = server
    }
}

/// A defence before aggregation. Distances, norms and cosines run over the whole flattened vector of parameters in
/// double; ties go to the lower client number.
public protocol AggregationRule: Sendable {
    /// The name on the command line.
    static var name: String { get }
    /// What it is called in results: the name, but for a user's own rule.
    var label: String { get }
    /// Its options; none for most.
    static var settings: [any AnySetting] { get }
    /// What it works on where clients have networks of several shapes.
    static var scope: RuleScope { get }
    init()
    /// The same for a rule with options.
    init(_ settings: Settings)
    /// What it needs of n clients in a round, of which f are assumed to be malicious, where that does not hold: "2f + 2 < n".
    func unmet(clients n: Int, malicious f: Int) -> String?
    /// The rule itself. `aggregate` has seen to it that updates are ascending by client, at least one, enough, and finite.
    func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate
    /// Whether it can do nothing without FM data. Throws where a user's own program does not say.
    func needsSyntheticData() throws -> Bool
    /// Passes over images that the server makes for the rule in a round of n clients, a forward counting a third;
    /// `rootPasses` is what `RuleServer.train` takes.
    func serverPasses(clients n: Int, rootPasses: Double) -> Double
    /// Bytes that a round takes besides the data: the updates that are held at once, and what is kept from round to round.
    func memoryNeeded(_ size: RoundSize) -> Int
}

/// What a rule works on where clients have networks of several shapes.
public enum RuleScope: Sendable {
    /// The clients of each shape by themselves, however few they are.
    case prototype
    /// It chooses among all clients of the round, by their updates of the trunk, which all shapes have; the chosen ones are then averaged
    /// within each shape.
    case trunk
    /// It cannot: it compares whole networks, or what they answer, and needs many of one shape.
    case oneShape
}

extension AggregationRule {
    public static var settings: [any AnySetting] { [] }
    public static var scope: RuleScope { .prototype }
    public init(_ settings: Settings) { self.init() }
    public var label: String { Self.name }
    public func unmet(clients n: Int, malicious f: Int) -> String? { nil }
    public func needsSyntheticData() throws -> Bool { false }

    public func serverPasses(clients n: Int, rootPasses: Double) -> Double { 0 }

    /// All updates, and as many models again that are made of them.
    public func memoryNeeded(_ size: RoundSize) -> Int { 2 * size.participants * size.modelBytes }

    /// Throws `DefenseError.tooFewClients` where `unmet` says why.
    public func checkClients(_ n: Int, malicious f: Int) throws {
        if let needs = unmet(clients: n, malicious: f) {
            throw DefenseError.tooFewClients(rule: Self.name, needs: needs, clients: n, malicious: f)
        }
    }

    /// Combines a round's updates, in whatever order they came.
    ///
    /// Throws `DefenseError` when the updates are not those of a round or the rule's conditions do not hold.
    public func aggregate(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let updates = updates.sorted { $0.client < $1.client }
        let areFinite = parallelMap(updates.count, threads: context.threads) { i, _ in updates[i].parameters.allFinite }
        for (update, isFinite) in zip(updates, areFinite) where !isFinite {
            throw DefenseError.update("the update of client \(update.client) holds NaN or infinite parameters")
        }
        for (a, b) in zip(updates, updates.dropFirst()) where a.client == b.client {
            throw DefenseError.update("client \(a.client) sent two updates in round \(context.round)")
        }
        guard updates.allSatisfy({ $0.images >= 0 }), updates.contains(where: { $0.images > 0 }) else {
            throw DefenseError.update(
                "expected updates of clients with images to train on, got \(updates.map { "client \($0.client): \($0.images)" })")
        }
        try checkClients(updates.count, malicious: context.assumedMalicious)
        return try combine(global, updates, &context)
    }
}
