import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics

/// ANP: a neuron that the trigger uses gives way to small changes of its weights; masks on the neurons' weights are trained
/// under such changes and neurons with small masks are pruned.
///
/// A neuron is an output channel of a convolution or a unit of fc1 or of the head. The network has no norm layers, whose gains the
/// published method scales, so the factors act on the neuron's own weights w and bias b:
///     (m + d) w,  (1 + e) b          m in [0, 1]: mask;  d, e in [-eps, eps]: noise
/// Each iteration, on one batch of FM images with the labels that the server holds (CE: cross-entropy):
///     d, e <- uniform, then one step of eps up the sign of CE's gradient, projected on [-eps, eps]
///     m <- SGD on alpha CE(m, 0, 0) + (1 - alpha) CE(m, d, e), projected on [0, 1]
/// eps 0.4, alpha 0.2, rate 0.2, momentum 0.9. Pruned where m <= 0.2: weights 0, biases stay.
///
/// Published: 2000 iterations in batches of 128. Below 10,000 images as many iterations of 16 as take 18 times the FM
/// images through the network (an iteration takes its batch through it three times), at least 20. The audit says what was used.
///
/// Source: Wu and Wang, NeurIPS 2021, arXiv 2110.14430, equations 3 to 5 and algorithm 1 (the public code leaves the
/// projection of the noise out).
public struct AdversarialPruning: ModelDefense {
    public static let name = "anp"
    public static let leastImages = 2
    public var noise: Float = 0.4, naturalWeight = 0.2, rate = 0.2, momentum = 0.9, threshold: Float = 0.2
    /// Images from which on the published schedule runs.
    public var imagesOfPublished = 10_000

    public init() {}

    struct Schedule: Equatable {
        var iterations: Int, batch: Int
    }

    func schedule(_ images: Int) -> Schedule {
        images >= imagesOfPublished ? Schedule(iterations: 2000, batch: 128) : Schedule(iterations: max(20, 6 * images / 16), batch: 16)
    }

    public func plannedPasses(_ images: Int) -> Double {
        let plan = schedule(images)
        return Double(3 * plan.iterations * plan.batch)
    }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let images = context.synthetic.count, plan = schedule(images), masks = MaskTraining(self, model, context, batch: plan.batch)
        var stream = RandomStream(seed: context.seed, purpose: "anp", round: context.round)
        for _ in 0..<plan.iterations {
            for i in masks.batch.indices { masks.batch[i] = stream.index(below: images) }
            masks.drawNoise(&stream)
            masks.iterate()
        }
        let m = masks.mask, channels = HiddenChannels(network: model.network)
        guard masks.isFinite else {
            throw DefenseError.model("\(Self.name) diverged: NaN or infinite steps of the masks after \(plan.iterations) iterations")
        }
        let prune = Set(m.indices.filter { m[$0] <= threshold })
        return DefenseOutcome(
            parameters: channels.pruned(model, prune, keepsBiases: true), bounds: Bounds(model.network), passes: plannedPasses(images),
            audit: [
                Finding("neurons pruned", channels.summary(prune)),
                Finding("masks: least, median", "\(fixed(Double(m.min() ?? 0), 3)) \(fixed(Double(quantile(0.5, m)), 3))"),
                Finding("iterations, batch", "\(plan.iterations) \(plan.batch) (published: 2000 iterations, batch 128)"),
                Finding(
                    "loss at the end: masked, under noise as well", "\(fixed(masks.losses.natural, 3)) \(fixed(masks.losses.robust, 3))"),
            ])
    }

    /// The masks and their descent. All memory is taken when it is made.
    final class MaskTraining {
        /// Positions in the FM data of the images of the next iteration.
        var batch: [Int]
        /// Noise d and e of the next iteration, in [-eps, eps]; `iterate` takes a step with it.
        var weightNoise: [Float], biasNoise: [Float]
        private(set) var mask: [Float]
        /// Cross-entropy before the last step, of the masked network without and with noise.
        private(set) var losses = (natural: 0.0, robust: 0.0)
        private let method: AdversarialPruning
        private let model: Parameters, samples: Samples, trainer: Trainer, channels: HiddenChannels
        private var velocity: [Double], descent: [Double]
        private var weightGradient: [Double], biasGradient: [Double]
        private var weightFactors: [Float], biasFactors: [Float]

        init(_ method: AdversarialPruning, _ model: Parameters, _ context: DefenseContext, batch: Int) {
            (self.method, self.model, samples) = (method, model, context.synthetic)
            channels = HiddenChannels(network: model.network)
            trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
            trainer.reset(model)
            self.batch = [Int](repeating: 0, count: batch)
            let zeros = [Double](repeating: 0, count: channels.count), ones = [Float](repeating: 1, count: channels.count)
            (velocity, descent, weightGradient, biasGradient) = (zeros, zeros, zeros, zeros)
            (mask, weightNoise, biasNoise, weightFactors, biasFactors) = (ones, ones, ones, ones, ones)
        }

        var isFinite: Bool { velocity.allSatisfy(\.isFinite) }

        func drawNoise(_ stream: inout RandomStream) {
            for c in mask.indices {
                weightNoise[c] = method.noise * Float(2 * stream.uniform() - 1)
                biasNoise[c] = method.noise * Float(2 * stream.uniform() - 1)
            }
        }

        func iterate() {
            _ = gradient(noisy: true)
            for c in mask.indices {
                weightNoise[c] = climbed(weightNoise[c], weightGradient[c])
                biasNoise[c] = climbed(biasNoise[c], biasGradient[c])
            }
            losses.robust = gradient(noisy: true)
            for c in mask.indices { descent[c] = (1 - method.naturalWeight) * weightGradient[c] }
            losses.natural = gradient(noisy: false)
            for c in mask.indices {
                velocity[c] = method.momentum * velocity[c] + descent[c] + method.naturalWeight * weightGradient[c]
                mask[c] = min(1, max(0, mask[c] - Float(method.rate * velocity[c])))
            }
        }

        private func climbed(_ noise: Float, _ gradient: Double) -> Float {
            let step = gradient > 0 ? method.noise : gradient < 0 ? -method.noise : 0
            return min(method.noise, max(-method.noise, noise + step))
        }

        /// The mean cross-entropy of the batch; leaves its gradients with respect to the factors of weights and biases.
        private func gradient(noisy: Bool) -> Double {
            for c in mask.indices {
                weightFactors[c] = mask[c] + (noisy ? weightNoise[c] : 0)
                biasFactors[c] = 1 + (noisy ? biasNoise[c] : 0)
            }
            channels.scale(model, weights: weightFactors, biases: biasFactors, into: trainer.parameters)
            trainer.sum.parameters.zero()
            let loss = trainer.gradient(
                batch.count, load: { i, x in samples.load(batch[i], into: x) },
                loss: { i, y, dy in
                    Loss.crossEntropy(y, classes: model.network.classes, label: samples.label(batch[i]), batch: batch.count, gradient: dy)
                })
            channels.factorGradients(model, trainer.sum.parameters.base, weights: &weightGradient, biases: &biasGradient)
            return loss
        }
    }
}
