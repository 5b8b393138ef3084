import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// FT-SAM: fine-tuning on the FM data with the labels that the server holds, by sharpness-aware minimisation. A backdoor's
/// neurons tend to have large weights. Each step looks where the loss is worst around the model, farther along large
/// weights than along small ones, and descends the gradient found there, which shrinks them:
///     g = dL/dw at w,   e = rho w^2 g / ||w g||   (products by element, the norm over all parameters)
///     w <- w - rate * (momentum sum of dL/dw at w + e, + decay * w)
/// L is cross-entropy with smoothed labels: 1 - s on the label, s / (K - 1) on each other class.
///
/// Published: rho 2, s 0.1, SGD 0.01 falling to 0 as half a cosine, momentum 0.9, decay 5e-4, 100 epochs in batches of 256
/// of 2,500 clean images. Gradients are clipped at norm 5, as in `FineTuning`: this network has no norm layers.
///
/// Source: Zhu, Wei, Shen, Fan and Wu, ICCV 2023, arXiv 2304.11823, whose public code takes |w| element by element for the
/// operator T_w that scales e (Kwon et al., ICML 2021, arXiv 2102.11600).
public struct SharpnessAwareTuning: ModelDefense {
    public static let name = "ft-sam"
    public static let leastImages = 2
    /// Passes over the images.
    public var epochs: Int
    /// rho: the norm of e / |w|, without unit.
    public var radius: Double
    /// s, a share of a label.
    public var smoothing = 0.1
    /// Images of a step.
    public var batch = 256
    /// Its rate is that of the first step.
    public var sgd = SGD(rate: 0.01, momentum: 0.9, decay: 5e-4, clip: 5)
    /// Added to the norm that e is divided by.
    static let leastNorm = 1e-12

    public static let epochs = Setting(
        "ft-sam-epochs", default: 100, in: .count(from: 1), value: "n", help: "Epochs on the FM data.")
    public static let radius = Setting(
        "ft-sam-rho", default: 2.0, in: .positive, value: "rho", help: "How far it looks around the model, relative to the weights.")
    public static let settings: [any AnySetting] = [epochs, radius]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) { (epochs, radius) = (settings[Self.epochs], settings[Self.radius]) }

    /// Each step takes its batch through the network twice.
    public func plannedPasses(_ images: Int) -> Double { Double(2 * epochs * images) }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let samples = context.trusted, steps = epochs * ((samples.count + batch - 1) / batch),
            lesson = Lesson(self, model, samples, context)
        var order = RandomStream(seed: context.seed, purpose: "ft-sam order", round: context.round), step = 0
        let losses = (0..<epochs).map { _ in
            let positions = order.permutation(samples.count)
            return stride(from: 0, to: positions.count, by: batch).reduce(0.0) { sum, first in
                let images = Array(positions[first..<min(first + batch, positions.count)])
                let rate = Self.annealed(sgd.rate, step, of: steps)
                step += 1
                return sum + Double(images.count) * lesson.step(images, rate: rate)
            } / Double(positions.count)
        }
        guard lesson.trainer.parameters.allFinite else {
            throw DefenseError.model(
                "\(Self.name) diverged: NaN or infinite parameters after \(epochs) epochs; a lower --ft-sam-rho may help")
        }
        let tuned = Parameters(copying: lesson.trainer.parameters)
        return DefenseOutcome(
            parameters: tuned, bounds: Bounds(model.network), passes: plannedPasses(samples.count),
            audit: [
                Finding("loss in the first and the last epoch", "\(fixed(losses.first ?? .nan, 3)) \(fixed(losses.last ?? .nan, 3))"),
                Finding("norm of the parameters: before, after", "\(fixed(Self.norm(model), 2)) \(fixed(Self.norm(tuned), 2))"),
            ])
    }

    /// Half a cosine from `rate` at step 0 to 0 after the last one.
    static func annealed(_ rate: Float, _ step: Int, of steps: Int) -> Float {
        Float(Double(rate) * 0.5 * (1 + Mathematics.cos(.pi * Double(step) / Double(steps))))
    }

    /// L2, over all parameters.
    private static func norm(_ model: Parameters) -> Double {
        model.buffer.values.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot()
    }

    /// One training: its trainer, and where the model stands while the trainer looks around it.
    struct Lesson {
        let trainer: Trainer
        private let method: SharpnessAwareTuning, samples: Samples, here: Parameters

        init(_ method: SharpnessAwareTuning, _ model: Parameters, _ samples: Samples, _ context: DefenseContext) {
            (self.method, self.samples, here) = (method, samples, Parameters(model.network))
            trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
            trainer.reset(model)
        }

        /// One step on these positions. Returns the mean loss before it, at the model itself.
        func step(_ images: [Int], rate: Float) -> Double {
            let w = trainer.parameters.base, g = trainer.sum.parameters.base, count = trainer.parameters.count
            let loss = gradient(images)
            here.buffer.copy(from: trainer.parameters.buffer)
            var squares = 0.0
            for i in 0..<count {
                let scaled = Double(w[i]) * Double(g[i])
                squares += scaled * scaled
            }
            let scale = Float(method.radius / (squares.squareRoot() + SharpnessAwareTuning.leastNorm))
            for i in 0..<count { w[i] += scale * w[i] * w[i] * g[i] }
            _ = gradient(images)
            trainer.parameters.buffer.copy(from: here.buffer)
            var sgd = method.sgd
            sgd.rate = rate
            trainer.descend(sgd)
            return loss
        }

        /// The mean loss; its gradient is left in `trainer.sum`.
        private func gradient(_ images: [Int]) -> Double {
            trainer.sum.parameters.zero()
            return trainer.gradient(
                images.count, load: { i, x in samples.load(images[i], into: x) },
                loss: { i, y, dy in
                    Loss.smoothedCrossEntropy(
                        y, classes: trainer.network.classes, label: samples.label(images[i]), smoothing: method.smoothing,
                        batch: images.count, gradient: dy)
                })
        }
    }
}
