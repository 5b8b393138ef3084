import Attacks
import Network
import Tensor

/// The attacker who knows that activations will be bounded: it trains its network bounded. Every channel and unit is
/// limited to `share` of the largest activation that the received G has on the client's own clean images, in forward and
/// backward, so that the backdoor cannot be carried by activations that clean images do not reach: it has to work inside
/// the bounds that a defence could set without harm. 1 is the clean range itself, less prepares for tighter bounds.
///
/// This is the penalty on activations above the clean maxima in its limit of infinite weight, at the price of one
/// forward pass over the clean images a round. The model that is sent has no bounds.
struct AdaptiveTraining: MaliciousBehavior {
    let share: Double
    private let context: AttackContext

    init(share: Double, _ context: AttackContext) {
        (self.share, self.context) = (share, context)
    }

    func trainingBounds(_ present: Bounds?, _ samples: Samples) -> Bounds? {
        let limits = cleanMaxima(context.global, present ?? Bounds(), samples.subset(samples.positions(.clean)), context)
        for k in 0..<Layer.totalBounds {
            limits.buffer.base[k] = min(present?.buffer.base[k] ?? .infinity, Float(share) * limits.buffer.base[k])
        }
        return limits
    }

    /// The largest activation of every channel and unit over all of `samples`; +inf where there are none.
    private func cleanMaxima(_ model: Parameters, _ bounds: Bounds, _ samples: Samples, _ context: AttackContext) -> Bounds {
        let maxima = Bounds(), row = FloatBuffer(Layer.totalBounds)
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
