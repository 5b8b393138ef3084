import DefenseInterface
import Network

/// FLTrust (Cao, Fang, Liu, Gong 2021): the server's own update g0, of a root set, says how far a client is trusted.
///
///     TS_i = max(0, cos(D_i, g0)),    G + sum TS_i (||g0|| / ||D_i||) D_i / sum TS_i
///
/// The root set are FM images as the server holds them, which an attack on the FM data poisons too. No step is made when
/// every TS_i is 0. The rescaled models are the teachers, weighted by TS_i.
public struct FLTrust: AggregationRule {
    public static let name = "fltrust"

    public init() {}

    public func needsSyntheticData() throws -> Bool { true }

    public func serverPasses(clients n: Int, rootPasses: Double) -> Double { rootPasses }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        guard let server = context.server else { throw DefenseError.needsServer(rule: Self.name) }
        let reference = server.train()
        guard reference.allFinite else { throw DefenseError.model("fltrust: the server's own training gave NaN or infinite parameters") }
        let models = updates.map(\.parameters), norms = updateNorms(models, global, threads: context.threads)
        let referenceNorm = squaredDistance(reference, global).squareRoot()
        let trust = zip(models, norms).map { model, norm in
            max(0, cosine(updateProduct(model, reference, around: global), norm * norm, referenceNorm * referenceNorm))
        }
        let total = trust.reduce(0, +)
        guard total > 0 else { return .noStep(global, rejecting: updates) }
        let trusted = updates.indices.filter { trust[$0] > 0 }
        let chosen = trusted.map { models[$0] }, weights = trusted.map { trust[$0] / total }
        let factors = trusted.map { referenceNorm / norms[$0] }
        return Aggregate(
            model: weightedSum(global, chosen, zip(weights, factors).map { $0 * $1 }, threads: context.threads),
            teachers: chosen.indices.map { Teacher(chosen[$0], scaledBy: factors[$0], around: global, weight: weights[$0]) },
            rejected: updates.indices.filter { trust[$0] == 0 }.map { updates[$0].client })
    }
}
