import Datasets
import Network
import Options
import Tensor

/// Norm clipping (Sun et al. 2019, "Can You Really Backdoor Federated Learning?"), then FedAvg, then noise if asked for:
///
///     G + sum w_i D_i / max(1, ||D_i|| / M) + N(0, s^2)
///
/// Defaults: M = 3, s = 0 (the paper's 0.025 has norm 18 on 550 k parameters). The noise belongs to the mean update: it is
/// drawn once and never multiplied by a rate. `dp` is the same with equal weights and that noise.
public struct NormClip: StreamingRule {
    public static let name = "norm-clip"
    /// M.
    public var limit: Double
    /// s.
    public var noise: Double

    public static let limit = Setting(
        "norm-clip-limit", default: 3.0, in: .positive, value: "norm",
        help: "Largest norm of an update.")
    public static let noise = Setting(
        "norm-clip-noise", default: 0.0, in: .notNegative, value: "deviation",
        help: "Standard deviation of the noise on the mean update.")
    public static let settings: [any AnySetting] = [limit, noise]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) {
        limit = settings[Self.limit]
        noise = settings[Self.noise]
    }

    public func stream(_ global: Parameters, images: [Int], _ context: RuleContext) -> any UpdateStream {
        ClippedStream(global, imageWeights(images), limit: limit, noise: noise, of: Self.name, context)
    }
}

/// Clipped updates, added up with weights; then noise, of the rule that is named.
final class ClippedStream: UpdateStream {
    private let global: Parameters, limit: Double, noise: Double, rule: String, context: RuleContext, sum: RunningSum
    private var weights: ArraySlice<Double>

    init(_ global: Parameters, _ weights: [Double], limit: Double, noise: Double, of rule: String, _ context: RuleContext) {
        (self.global, self.limit, self.noise, self.rule, self.context) = (global, limit, noise, rule, context)
        self.weights = weights[...]
        sum = RunningSum(global, threads: context.threads)
    }

    func add(_ model: Parameters) -> Parameters {
        let factors = clipFactors([squaredDistance(model, global).squareRoot()], limit)
        sum.add(model, weight: weights.removeFirst() * factors[0])
        return rescaled([model], factors, around: global)[0]
    }

    func finish() -> Parameters {
        let model = sum.model
        let stream = RandomStream(seed: context.seed, purpose: "\(rule) noise", round: context.round)
        addNoise(model, deviation: noise, stream, threads: context.threads)
        return model
    }
}
