import Datasets
import DefenseInterface
import Network
import Numerics
import Tensor

/// SignGuard (Xu, Huang, Song and Lan, ICDCS 2022, "Byzantine-robust Federated Learning through Collaborative
/// Malicious Gradient Filtering", arXiv 2109.05872), in its plain form:
///
/// 1. S = median of ||D_i|| over ALL clients; a client passes when 0.1 S <= ||D_i|| <= 3 S;
/// 2. of a random tenth of the coordinates the shares of positive, zero and negative signs of D_i are taken; of the
///    clusters that mean shift makes of the clients' three shares, the largest passes;
/// 3. who passes both is clipped to norm S; G + mean, without weights. If nobody does there is no step.
///
/// The bandwidth of mean shift is, as in the authors' program, scikit-learn's estimate at the quantile 0.5.
/// Departures from that program (and from its copy in FLPoison): the coordinates are drawn one by one, not as a run
/// of neighbours, which may be one layer; shares are not divided by the largest, which blows up the few coordinates
/// that stand still; mean shift starts at every point, not at the corners of a grid, and the bandwidth is estimated
/// from all clients, not from 50 drawn ones. Needs n >= 4: among fewer clients the bandwidth is 0, as the nearest
/// half of them is the client itself.
public struct SignGuard: AggregationRule {
    public static let name = "sign-guard"
    public static var scope: RuleScope { .trunk }
    static let fewest = 4, quantile = 0.5
    /// Of the median norm.
    public var smallest = 0.1, largest = 3.0
    /// Fraction of the coordinates whose signs are counted.
    public var share = 0.1

    public init() {}

    public func unmet(clients n: Int, malicious f: Int) -> String? { n >= Self.fewest ? nil : "n >= \(Self.fewest)" }

    public func combine(
        _ global: Parameters, _ updates: [ClientUpdate],
        _ context: inout RuleContext
    ) throws -> Aggregate {
        let models = updates.map(\.parameters)
        let norms = updateNorms(models, global, threads: context.threads), scale = median(norms)
        let ofSize = norms.indices.filter { norms[$0] >= smallest * scale && norms[$0] <= largest * scale }
        let alike = Set(Self.largestCluster(signShares(models, global, context)))
        let admitted = ofSize.filter(alike.contains)
        return clippedMean(global, updates, norms, to: scale, admitted: admitted, threads: context.threads)
    }

    /// Positions of the points in the largest cluster; of equal ones, in that with the denser centre.
    static func largestCluster(_ points: [[Double]]) -> [Int] {
        let labels = MeanShift(bandwidth: MeanShift.bandwidth(points, quantile: quantile)).labels(points)
        let clusters = (0...max(0, labels.max() ?? 0)).map { label in labels.indices.filter { labels[$0] == label } }
        return clusters.reduce([]) { $1.count > $0.count ? $1 : $0 }
    }

    /// (client, 3): shares of positive, zero and negative signs among the coordinates of the round.
    private func signShares(_ models: [Parameters], _ global: Parameters, _ context: RuleContext) -> [[Double]] {
        let places = coordinates(global.network, context), g = global.base
        return parallelMap(models.count, threads: context.threads) { i, _ in
            let w = models[i].base
            var up = 0, down = 0
            for k in places {
                if w[k] > g[k] { up += 1 } else if w[k] < g[k] { down += 1 }
            }
            return [up, places.count - up - down, down].map { Double($0) / Double(places.count) }
        }
    }

    /// Places in memory of the coordinates that are drawn for a round, without repetition.
    private func coordinates(_ network: ClampNet, _ context: RuleContext) -> [Int] {
        var stream = RandomStream(seed: context.seed, purpose: "sign-guard coordinates", round: context.round)
        let all = network.tensors.flatMap { tensor in (0..<tensor.canonicalCount).map { tensor.place($0) } }
        let count = max(1, Int(share * Double(all.count)))
        return stream.permutation(all.count).prefix(count).map { all[$0] }.sorted()  // whose signs are counted in any order
    }
}
