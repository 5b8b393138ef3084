import Network
import Options
import Tensor

/// The attacker who knows that activations will be bounded: every second step it trains its network bounded. Channels and
/// units are then limited to `share` of the largest activation that the received G has on the client's own clean images,
/// in forward and backward, so that the backdoor cannot rest on activations that clean images do not reach: it has to
/// work inside any bounds that a defence could set without harm, too. 1 is the clean range itself, less prepares for
/// tighter bounds. The other steps run as everybody's do; without them the model, which is sent without bounds, would
/// work bounded only, and its activations would run away.
///
/// The cheap form of a penalty on activations above the clean maxima: it costs one forward pass over the clean images a
/// round, and needs no weight to be tuned.
public struct AdaptiveTraining: MaliciousBehavior {
    public static let share = Setting<Double?>(
        "adaptive", default: nil, in: .positive, value: "factor",
        help: "Malicious clients keep their activations below this many times the clean maxima.")
    public static let settings: [any AnySetting] = [share]

    let share: Double
    private let context: AttackContext

    public init?(_ settings: Settings, _ context: AttackContext) {
        guard let share = settings[Self.share] else { return nil }
        self.init(share: share, context)
    }

    init(share: Double, _ context: AttackContext) {
        (self.share, self.context) = (share, context)
    }

    public func trainingBounds(_ samples: Samples) -> Bounds? {
        let limits = cleanMaxima(context.global, Bounds(context.global.network), samples.subset(samples.positions(.clean)), context)
        for k in 0..<limits.buffer.count { limits.buffer.base[k] *= Float(share) }
        return limits
    }

    /// The largest activation of every channel and unit over all of `samples`; +inf where there are none.
    private func cleanMaxima(_ model: Parameters, _ bounds: Bounds, _ samples: Samples, _ context: AttackContext) -> Bounds {
        let maxima = Bounds(model.network), row = FloatBuffer(model.network.totalBounds)
        guard samples.count > 0 else { return maxima }
        maxima.buffer.zero()
        let predictor = Predictor(model.network, kernels: context.kernels, threads: 1)
        predictor.forEachChunk(samples.count, model, bounds, load: { samples.load($0, into: $1) }) { _, n, workspace in
            for i in 0..<n {
                workspace.maxima(i, bounds, into: row.base)
                for k in 0..<row.count { maxima.buffer.base[k] = max(maxima.buffer.base[k], row.base[k]) }
            }
        }
        return maxima
    }
}
