import DefenseInterface
import Network
import Tensor

/// FoolsGold (Fung, Yoon, Beschastnikh 2020, "The Limitations of Federated Learning in Sybil Settings"): clients whose
/// updates point the same way round after round lose their weight.
///
///     H_i += D_i                                       history, by client number, of the rounds it took part in
///     c_ij = cos(H_i, H_j),    v_i = max_j c_ij        j != i among this round's clients
///     c_ij *= v_i / v_j        where v_j > v_i         pardoning
///     a_i = 1 - max_j c_ij, clipped to [0, 1], divided by the largest; 1 becomes 0.99
///     a_i = kappa (ln(a_i / (1 - a_i)) + 0.5), clipped to [0, 1],    kappa = 1
///     G + sum a_i D_i / sum a_i
///
/// As in the authors' program v_i is at least 0, plus 1e-5 against division by zero. The paper adds sum a_i D_i to a
/// gradient step; for models that were trained locally the weights are made to sum to 1. Where no client stands out
/// (equal histories are one sybil) there is no step.
public struct FoolsGold: AggregationRule {
    public static let name = "foolsgold"
    public static var scope: RuleScope { .oneShape }
    /// kappa.
    public var confidence = 1.0

    public init() {}

    /// The updates, their histories, and the histories of all clients that ever took part.
    public func memoryNeeded(_ size: RoundSize) -> Int {
        (2 * size.participants + min(size.clients, size.participants * size.rounds)) * size.modelBytes
    }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let elements = global.network.elements, pasts = try updates.map { try past($0.client, elements.count, context) }
        let histories = parallelMap(updates.count, threads: context.threads) { i, _ in
            Self.history(pasts[i], updates[i].parameters, global, elements)
        }
        for (update, history) in zip(updates, histories) { context.state[Self.stateName(update.client)] = history.flattened }
        let weights = Self.weights(cosines(products(histories.map(\.parameters), context.kernels, threads: context.threads)), confidence)
        let total = weights.reduce(0, +)
        guard total > 0 else { return .noStep(global, rejecting: updates) }
        let models = updates.map(\.parameters)
        return Aggregate(
            model: weightedSum(global, models, weights.map { $0 / total }, threads: context.threads),
            teachers: zip(models, weights).filter { $0.1 > 0 }.map { Teacher($0.0, weight: $0.1 / total) },
            rejected: zip(updates, weights).filter { $0.1 == 0 }.map(\.0.client))
    }

    /// The name in `RuleContext.state` of a client's history: all parameters in canonical order.
    static func stateName(_ client: Int) -> String { "foolsgold_client_\(client)" }

    /// A client's history before this round; nil in its first.
    private func past(_ client: Int, _ count: Int, _ context: RuleContext) throws -> [Float]? {
        guard let stored = context.state[Self.stateName(client)] else { return nil }
        guard stored.count == count else {
            throw DefenseError.model("the history of client \(client) has \(stored.count) numbers, the network \(count) parameters")
        }
        return stored
    }

    /// The history with this round's update, as parameters and in canonical order.
    private static func history(_ past: [Float]?, _ model: Parameters, _ global: Parameters, _ elements: [(place: Int32, index: Int32)])
        -> (
            parameters: Parameters, flattened: [Float]
        )
    {
        let sum = Parameters(global.network), h = sum.base, w = model.base, g = global.base
        let flattened = [Float](unsafeUninitializedCapacity: elements.count) { flat, count in
            guard let flat = flat.baseAddress else { return }
            count = elements.count
            flat.initialize(repeating: 0, count: count)
            past?.withUnsafeBufferPointer { past in
                if let past = past.baseAddress { flat.update(from: past, count: elements.count) }
            }
            elements.withUnsafeBufferPointer { elements in
                for element in elements {
                    let k = Int(element.place), i = Int(element.index), x = Float(Double(flat[i]) + (Double(w[k]) - Double(g[k])))
                    h[k] = x
                    flat[i] = x
                }
            }
        }
        return (sum, flattened)
    }

    /// a_i from the cosines of the histories.
    static func weights(_ cosines: [[Double]], _ confidence: Double) -> [Double] {
        let clients = cosines.indices
        let v = clients.map { i in clients.filter { $0 != i }.reduce(0) { max($0, cosines[i][$1]) } + 1e-5 }
        let alike = clients.map { i in
            clients.filter { $0 != i }.reduce(0) { max($0, cosines[i][$1] * (v[$1] > v[i] ? v[i] / v[$1] : 1)) }
        }
        let apart = alike.map { max(0, 1 - $0) }, most = apart.max() ?? 0
        guard most > 0 else { return apart }
        return apart.map { a in
            let share = a == most ? 0.99 : a / most
            return min(1, max(0, confidence * (Mathematics.log(share / (1 - share)) + 0.5)))
        }
    }
}
