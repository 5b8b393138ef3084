import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics

/// Fine-tuning on the FM data with the labels that the server holds: SGD 0.01, momentum 0.9, weight decay 5e-4, 5 epochs
/// in batches of 64, gradients clipped at norm 5. Where the FM data are poisoned, it teaches the backdoor again.
///
/// Source: Liu, Dolan-Gavitt and Garg, arXiv 1805.12185, section 4 (fine-tuning as a defence); w <- w - rate * (momentum
/// sum of dCE/dw + decay * w).
public struct FineTuning: ModelDefense {
    public static let name = "fine-tuning"
    public static let leastImages = 2
    public var epochs = 5, batch = 64
    public var sgd = SGD(rate: 0.01, momentum: 0.9, decay: 5e-4, clip: 5)

    public init() {}

    public func plannedPasses(_ images: Int) -> Double { Double(epochs * images) }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let (tuned, loss) = try train(model, context)
        return DefenseOutcome(
            parameters: tuned, bounds: Bounds(model.network), passes: plannedPasses(context.synthetic.count),
            audit: [Finding("loss in the first and the last epoch", "\(fixed(loss.first ?? .nan, 3)) \(fixed(loss.last ?? .nan, 3))")])
    }

    /// The model after training and the mean loss of every epoch. Channels whose weights and biases are all zero stay
    /// so: they do not fire and get no gradient.
    /// - Parameters:
    ///   - images: what is trained on, if not all FM images as they are.
    ///   - load: writes the network's input for one of their positions, if not `Samples.load`.
    func train(
        _ model: Parameters, _ context: DefenseContext, on images: Samples? = nil,
        load: ((_ position: Int, _ x: UnsafeMutablePointer<Float>) -> Void)? = nil
    ) throws -> (model: Parameters, losses: [Double]) {
        let samples = images ?? context.synthetic, load = load ?? { samples.load($0, into: $1) }
        let trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        var order = RandomStream(seed: context.seed, purpose: "fine-tuning order", round: context.round)
        trainer.reset(model)
        let losses = (0..<epochs).map { _ in epoch(trainer, samples, order.permutation(samples.count), load) }
        guard trainer.parameters.allFinite else {
            throw DefenseError.model("\(Self.name) diverged: NaN or infinite parameters after \(epochs) epochs at rate \(sgd.rate)")
        }
        return (Parameters(copying: trainer.parameters), losses)
    }

    private func epoch(
        _ trainer: Trainer, _ samples: Samples, _ positions: [Int], _ load: (Int, UnsafeMutablePointer<Float>) -> Void
    ) -> Double {
        var sum = 0.0
        for first in stride(from: 0, to: positions.count, by: batch) {
            let n = min(batch, positions.count - first)
            sum +=
                Double(n)
                * trainer.step(
                    n, sgd, load: { i, x in load(positions[first + i], x) },
                    loss: { i, y, dy in
                        Loss.crossEntropy(
                            y, classes: trainer.network.classes, label: samples.label(positions[first + i]), batch: n, gradient: dy)
                    })
        }
        return sum / Double(positions.count)
    }
}
