import Attacks
import DefenseInterface
import Network
import Tensor

/// What the last hidden layer (after ReLU) says of each FM image: what published defences on training data look at.
struct Representations {
    /// (images, units of the layer)
    let rows: [[Double]]
    let labels: [Int]
    let classes: Int

    init(rows: [[Double]], labels: [Int], classes: Int) { (self.rows, self.labels, self.classes) = (rows, labels, classes) }

    /// Throws `DefenseError` where the model is not finite.
    init(_ model: Parameters, _ context: DefenseContext, for defense: String) throws {
        guard model.allFinite else {
            throw DefenseError.model("the model holds NaN or infinite parameters; \(defense) cannot work on it")
        }
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        let activations = Activations(model, context.synthetic, predictor), units = model.network.bounds(of: model.network.lastHidden)
        rows = (0..<activations.count).map { image in units.map { Double(activations.maximum(image, $0)) } }
        labels = (0..<activations.count).map(context.synthetic.label)
        classes = model.network.classes
    }

    /// Positions of the images with a label, ascending.
    func images(of label: Int) -> [Int] { labels.indices.filter { labels[$0] == label } }

    /// The rows of these images less their mean.
    func centred(_ images: [Int]) -> [[Double]] {
        guard let first = images.first else { return [] }
        var mean = rows[first].map { _ in 0.0 }
        for image in images { for unit in mean.indices { mean[unit] += rows[image][unit] / Double(images.count) } }
        return images.map { image in zip(rows[image], mean).map { $0 - $1 } }
    }
}
