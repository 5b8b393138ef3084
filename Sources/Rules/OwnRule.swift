import DefenseInterface
import Network
import OwnMethods
import Options

/// A user's own rule, a program (`exec:PROGRAM`). It answers with one of
///
/// * `weights` (clients): G + sum w_i (W_i - G), w made to sum to 1; the models teach in fusion with the same weights,
///   and a client of weight 0 is left out;
/// * `accepted` (clients), 0 or 1: the mean of those, weighted by their images; each of them teaches as much;
/// * `aggregate` (parameters), with `weights` or `accepted` for the teachers; without them all clients teach.
///
/// Where nobody is let through there is no step.
public struct OwnRule: AggregationRule {
    public static let name = "exec"
    /// Weights that sum to 1 within this are taken as they are: what float64 loses in a sum over thousands of clients.
    static let unitTolerance = 1e-9
    private let method: OwnMethod?

    /// Needed by the protocol only.
    public init() { method = nil }

    public init(_ method: OwnMethod) { self.method = method }

    public var label: String { method?.label ?? Self.name }

    /// The updates, once more as one array in the canonical order, and what is made of them.
    public func memoryNeeded(_ size: RoundSize) -> Int { 3 * size.participants * size.modelBytes }

    public func needsSyntheticData() throws -> Bool {
        try method.map { try OwnMethods.program($0).wants("images") } ?? false
    }

    public func combine(
        _ global: Parameters, _ updates: [ClientUpdate],
        _ context: inout RuleContext
    ) throws -> Aggregate {
        guard let method else { throw DefenseError.update("\(Self.name): no program") }
        let program = try OwnMethods.program(method)
        let answer = try program.ask(.rule, try request(of: method, to: program, global, updates, context))
        context.ownState = answer.state
        return try aggregate(global, updates, answer, threads: context.threads)
    }

    private func request(
        of method: OwnMethod, to program: OwnProgram, _ global: Parameters, _ updates: [ClientUpdate], _ context: RuleContext
    ) throws -> OwnRequest {
        let members: [String: OwnJSON] = [
            "round": .whole(context.round), "assumed_malicious": .whole(context.assumedMalicious),
            "threads": .whole(context.threads), "seed": .seed(context.seed, method, round: context.round),
            "tensors": .tensors(global.network),
        ]
        var arrays: [(name: String, array: OwnArray)] = [
            ("clients", .whole(updates.map(\.client))), ("images", .whole(updates.map(\.images))),
            ("global", .parameters(global)), ("models", .models(updates.map(\.parameters))),
        ]
        if try program.wants("images") {
            guard let synthetic = context.server?.synthetic else { throw DefenseError.needsServer(rule: label) }
            arrays += synthetic.ownArrays("fm")
        }
        return OwnRequest(members, arrays, state: context.ownState, allowed: ["weights", "accepted", "aggregate"])
    }

    private func aggregate(
        _ global: Parameters, _ updates: [ClientUpdate], _ answer: OwnAnswer,
        threads: Int
    ) throws -> Aggregate {
        let n = updates.count
        let weights = try answer.numbers("weights", shape: [n], "numbers from 0") { $0.isFinite && $0 >= 0 }
        let accepted = try answer.numbers("accepted", shape: [n], "0 or 1 for each client") { $0 == 0 || $0 == 1 }
        let given = try answer.floats("aggregate", count: global.network.parameterCount)
        guard weights == nil || accepted == nil else { throw answer.wrong("weights or accepted", "both") }
        guard let teaching = weights ?? accepted else {
            guard let given, let model = Parameters(global.network, flattened: given) else {
                throw answer.wrong("weights, accepted or aggregate", "none of them")
            }
            return Aggregate(model: model, teachers: updates.map { Teacher($0.parameters) })
        }
        let through = updates.indices.filter { teaching[$0] > 0 }, models = through.map { updates[$0].parameters }
        let rejected = updates.indices.filter { teaching[$0] == 0 }.map { updates[$0].client }
        guard !through.isEmpty else { return .noStep(global, rejecting: updates) }
        let shares =
            weights == nil
            ? imageWeights(through.map { updates[$0].images })
            : Self.unit(through.map { teaching[$0] })
        let model =
            given.flatMap { Parameters(global.network, flattened: $0) }
            ?? weightedSum(global, models, shares, threads: threads)
        let teachers = zip(models, shares).map { Teacher($0, weight: weights == nil ? 1 : $1) }
        return Aggregate(model: model, teachers: teachers, rejected: rejected)
    }

    /// The same weights, divided by their sum where that is not 1.
    static func unit(_ weights: [Double]) -> [Double] {
        let sum = weights.reduce(0, +)
        if abs(sum - 1) <= unitTolerance { return weights }
        guard !sum.isFinite, let most = weights.max() else { return weights.map { $0 / sum } }
        return unit(weights.map { $0 / most })  // each is finite, their sum is not
    }
}
