import Datasets
import DefenseInterface
import Network
import Numerics

/// FLAME (Nguyen et al. 2022, "Taming Backdoors in Federated Learning"):
///
/// 1. HDBSCAN on the cosine distances of the models W_i, as in the paper's algorithm (some public code takes the updates):
///    min cluster size floor(n/2) + 1, min samples 1, a single cluster allowed; the majority cluster is admitted;
/// 2. S = median of ||D_i|| over ALL clients; admitted updates are clipped to norm S;
/// 3. G + mean of the clipped updates + N(0, (lambda S)^2), lambda = 0.001.
///
/// Needs n >= 2.
public struct FLAME: AggregationRule {
    public static let name = "flame"
    public static var scope: RuleScope { .oneShape }
    /// lambda.
    public var noise = 0.001

    public init() {}

    public func unmet(clients n: Int, malicious f: Int) -> String? { n >= 2 ? nil : "n >= 2" }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let n = updates.count, models = updates.map(\.parameters)
        let distances = cosineDistances(cosines(products(models, context.kernels, threads: context.threads)))
        let labels = HDBSCAN(minClusterSize: n / 2 + 1, minSamples: 1, allowSingleCluster: true).labels(distances)
        let admitted = updates.indices.filter { labels[$0] == 0 }  // more than half are needed for a cluster: there is one at most
        let (aggregate, scale) = clippedMean(global, updates, admitted: admitted, threads: context.threads)
        let stream = RandomStream(seed: context.seed, purpose: "flame noise", round: context.round)
        addNoise(aggregate.model, deviation: noise * scale, stream, threads: context.threads)
        return aggregate
    }
}

/// 1 - cosine, exactly 0 on the diagonal.
func cosineDistances(_ cosines: [[Double]]) -> [[Double]] {
    cosines.indices.map { i in cosines.indices.map { j in i == j ? 0 : 1 - cosines[i][j] } }
}
