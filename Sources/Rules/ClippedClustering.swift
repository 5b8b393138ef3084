import DefenseInterface
import Network
import Numerics

/// ClippedClustering (Li, Ngai and Voigt 2023, "An Experimental Study of Byzantine-Robust Aggregation Schemes in
/// Federated Learning", IEEE Transactions on Big Data, arXiv 2302.07173):
///
/// 1. S = median of the norms ||D_i|| of all updates that ever came, this round's among them; D_i is clipped to norm
///    S;
/// 2. two clusters, by average linkage on the distances 1 - cos(D_i, D_j);
/// 3. G + mean of the clipped updates in the larger cluster, without weights.
///
/// Needs n >= 3, as two clients are two clusters. Of two clusters of one size the one with the lowest client number
/// stays; in the authors' program (blades) scikit-learn's numbering of the clusters decides. An update of norm 0 is
/// at distance 1 of every other one, there too. Norms are kept, and compared with S, in single precision: a run that
/// was interrupted goes on with the same bits.
public struct ClippedClustering: AggregationRule {
    public static let name = "clip-cluster"
    public static var scope: RuleScope { .trunk }
    static let fewest = 3

    public init() {}

    /// The updates, as many clipped ones, and a number for each update of the run.
    public func memoryNeeded(_ size: RoundSize) -> Int { size.participants * (2 * size.modelBytes + 4 * size.rounds) }

    public func unmet(clients n: Int, malicious f: Int) -> String? { n >= Self.fewest ? nil : "n >= \(Self.fewest)" }

    public func combine(
        _ global: Parameters, _ updates: [ClientUpdate],
        _ context: inout RuleContext
    ) throws -> Aggregate {
        let models = updates.map(\.parameters), threads = context.threads
        let norms = updateNorms(models, global, threads: threads), kept = norms.map(Self.kept)
        for (update, norm) in zip(updates, kept) {
            context.state[Self.stateName(update.client), default: []].append(norm)
        }
        let all = context.state.values.flatMap { $0.map(Double.init) }, limit = median(all)
        guard all.allSatisfy({ $0 >= 0 }) else {
            throw DefenseError.model("\(Self.name): the rule's state holds norms below 0")
        }
        let distances = cosineDistances(cosines(updateProducts(models, around: global, context.kernels, threads: threads)))
        let compared = zip(norms, kept).map { Double($1) > limit ? $0 : Double($1) }
        return clippedMean(global, updates, compared, to: limit, admitted: Self.larger(distances), threads: threads)
    }

    /// A norm as the state has it: finite, as run files demand.
    private static func kept(_ norm: Double) -> Float { min(Float(norm), .greatestFiniteMagnitude) }

    /// The name in `RuleContext.state` of the norms of a client's updates, one for each round it took part in.
    static func stateName(_ client: Int) -> String { "clip_cluster_client_\(client)" }

    /// Positions in the larger of two clusters.
    static func larger(_ distances: [[Double]]) -> [Int] {
        averageLinkage(distances, clusters: 2).reduce([]) { $1.count > $0.count ? $1 : $0 }
    }
}
