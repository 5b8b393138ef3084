import Attacks
import Network
import Tensor

/// What the network does with the FM images: the logits and every channel's largest activation, image by image.
struct Activations {
    let network: ClampNet
    let count: Int
    /// (count, classes)
    let logits: [Float]
    /// (count, channels and units of the network): largest activation of a channel within the image, or of a unit; before any bound.
    let maxima: [Float]
    let predictions: [Int]

    init(_ model: Parameters, _ samples: Samples, _ predictor: Predictor) {
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
                    let row = FloatBuffer(channels)           // kernels store whole aligned vectors
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
        predictions = predictedClasses(logits, classes: k)
    }

    var classes: Int { network.classes }

    func maximum(_ image: Int, _ channel: Int) -> Float { maxima[image * network.totalBounds + channel] }

    /// The q-quantile, over `images`, of every channel's maxima (linear between order statistics).
    func quantiles(_ q: Double, of images: [Int], threads: Int) -> [Float] {
        parallelMap(network.totalBounds, threads: threads) { channel, _ in quantile(q, images.map { maximum($0, channel) }) }
    }
}

/// KL(teacher || softmax y), a mean over so many images, and its gradient; the teacher is a row of (rows, classes) logits.
func divergence(_ y: UnsafePointer<Float>, from teachers: [Float], row: Int, classes: Int, images: Int, gradient dy: UnsafeMutablePointer<Float>) -> Double {
    teachers.withUnsafeBufferPointer { logits in
        guard let teacher = logits.baseAddress else { return 0 }
        return Loss.distillation(y, teacher: teacher + row * classes, classes: classes, label: 0, temperature: 1, labelWeight: 0, batch: images, gradient: dy)
    }
}

/// The classes predicted by rows of logits.
func predictedClasses(_ logits: [Float], classes: Int) -> [Int] {
    logits.withUnsafeBufferPointer { buffer in
        (0..<logits.count / classes).map { i in buffer.baseAddress.map { Loss.prediction($0 + i * classes, classes: classes) } ?? 0 }
    }
}

/// The q-quantile of the values, linear between order statistics; 0 of none.
func quantile(_ q: Double, _ values: [Float]) -> Float {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted(), place = q * Double(sorted.count - 1), low = Int(place)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (sorted[high] - sorted[low]) * Float(place - Double(low))
}
