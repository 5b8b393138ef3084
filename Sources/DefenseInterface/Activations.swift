import Attacks
import Network
import Numerics
import Tensor

/// What the network does with the FM images: the logits and every channel's largest activation, image by image.
package struct Activations {
    package let network: ClampNet
    package let count: Int
    /// (count, classes)
    package let logits: [Float]
    /// (count, channels and units of the network): largest activation of a channel within the image, or of a unit; before any bound.
    package let maxima: [Float]
    package let predictions: [Int]

    package init(_ model: Parameters, _ samples: Samples, _ predictor: Predictor) {
        count = samples.count
        network = model.network
        let unbounded = Bounds(model.network), stride = model.network.logitStride, k = model.network.classes, images = samples.count
        let channels = model.network.totalBounds
        var logits = [Float](repeating: 0, count: images * k)
        var maxima = [Float](repeating: 0, count: images * channels)
        logits.withUnsafeMutableBufferPointer { logits in
            maxima.withUnsafeMutableBufferPointer { maxima in
                guard let l = logits.baseAddress, let m = maxima.baseAddress else { return }
                predictor.forEachChunk(images, model, unbounded, load: { samples.load($0, into: $1) }) { first, n, workspace in
                    let row = FloatBuffer(channels)  // kernels store whole aligned vectors
                    for i in 0..<n {
                        for c in 0..<k { l[(first + i) * k + c] = workspace.logits[i * stride + c] }
                        workspace.maxima(i, unbounded, into: row.base)
                        (m + (first + i) * channels).update(from: row.base, count: channels)
                    }
                }
            }
        }
        self.logits = logits
        self.maxima = maxima
        predictions = Loss.predictions(logits, classes: k)
    }

    package var classes: Int { network.classes }

    package func maximum(_ image: Int, _ channel: Int) -> Float { maxima[image * network.totalBounds + channel] }

    /// The q-quantile, over `images`, of every channel's maxima (linear between order statistics).
    package func quantiles(_ q: Double, of images: [Int], threads: Int) -> [Float] {
        parallelMap(network.totalBounds, threads: threads) { channel, _ in quantile(q, images.map { maximum($0, channel) }) }
    }
}
