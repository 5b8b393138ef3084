import Attacks
import Datasets
import DefenseInterface
import Network

/// The model that is looked at, without bounds, and the FM images that it is looked at with.
package struct Examined {
    package let model: Parameters
    package let samples: Samples
    package let activations: Activations
    package let context: DefenseContext
    package let range: PixelRange
    private let predictor: Predictor, unbounded: Bounds

    /// Takes the FM images through the model.
    /// - Parameter model: finite; `context` has FM images that the defence can use.
    package init(_ model: Parameters, _ context: DefenseContext) {
        (self.model, samples, self.context) = (model, context.synthetic, context)
        (predictor, unbounded) = (Predictor(model.network, kernels: context.kernels, threads: context.threads), Bounds(model.network))
        activations = Activations(model, samples, predictor)
        range = PixelRange(samples)
    }

    var classes: Int { activations.classes }

    /// Logits of so many inputs, (count, classes), of this model or another.
    func logits(_ count: Int, of other: Parameters? = nil, load: @escaping (Int, UnsafeMutablePointer<Float>) -> Void) -> [Float] {
        predictor.logits(count, other ?? model, unbounded, load: load)
    }

    /// Of images under perturbations.
    func logits(of other: Parameters? = nil, _ pairs: [(image: Int, perturbation: [Float])]) -> [Float] {
        logits(pairs.count, of: other) { [samples, range] i, x in
            samples.load(pairs[i].image, into: x)
            range.add(pairs[i].perturbation, to: x)
        }
    }

    /// A trainer for gradients on inputs and bounds, at the model, without bounds.
    package func trainer(_ other: Parameters? = nil) -> Trainer {
        let trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        trainer.reset(other ?? model)
        return trainer
    }
}
