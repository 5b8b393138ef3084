import Datasets
import Network
import Tensor

/// Norm clipping (Sun et al. 2019, "Can You Really Backdoor Federated Learning?"), then FedAvg, then noise if asked for:
///
///     G + sum w_i D_i / max(1, ||D_i|| / M) + N(0, s^2)
///
/// Defaults: M = 3, s = 0 (the paper's 0.025 has norm 18 on 550 k parameters). The noise belongs to the mean update: it is
/// drawn once and never multiplied by a rate.
public struct NormClip: AggregationRule {
    public static let name = "norm-clip"
    /// M.
    public var limit: Double
    /// s.
    public var noise: Double

    public init(_ options: RuleOptions = RuleOptions()) {
        limit = options.normClipLimit
        noise = options.normClipNoise
    }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let models = updates.map(\.parameters)
        let factors = clipFactors(updateNorms(models, global, threads: context.threads), limit)
        let model = weightedSum(global, models, zip(imageWeights(updates), factors).map { $0 * $1 }, threads: context.threads)
        var stream = RandomStream(seed: context.seed, purpose: "norm-clip noise", round: context.round)
        addNoise(model, deviation: noise, &stream)
        return Aggregate(model: model, teachers: rescaled(models, factors, around: global).map { Teacher($0) })
    }
}
