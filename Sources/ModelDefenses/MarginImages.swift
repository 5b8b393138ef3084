import Datasets
import Network
import Tensor

/// For every class images that the model gives to it by a wide margin, made without data: drawn from U[0, 1] and moved up
/// the gradient of the margin, pixel units. A class with a backdoor reaches far higher margins than the others.
///
/// x <- x + rate * d margin(clamp(x, 0, 1)) / dx for the pixels x within [0, 1]; a pixel that has left the range has no
/// gradient and stays. (The public code names a momentum of 0.2, but makes its optimiser anew in every step.)
///
/// Source: Wang, Xiang, Miller and Kesidis, MM-BD, arXiv 2205.06900, equation 2 and its public code; the same images are
/// those of MMAC.
final class MarginImages {
    struct Schedule: Equatable {
        var perClass: Int, steps: Int, rate: Float
        /// Passes over images that a set of them takes; without gradients of weights they count two thirds.
        func passes(classes: Int) -> Double { Double(classes * perClass * steps) * 2 / 3 }
    }

    let classes: Int, perClass: Int
    /// (count, channels, side, side), not yet clamped; images of a class lie together.
    let pixels: FloatBuffer
    /// The margin of every image before its last step.
    let margins: FloatBuffer
    private let normalization: Normalization, side: Int, channels: Int

    var count: Int { classes * perClass }

    init(classes: Int, perClass: Int, side: Int, _ normalization: Normalization) {
        (self.classes, self.perClass, self.side, self.normalization) = (classes, perClass, side, normalization)
        channels = normalization.mean.count
        pixels = FloatBuffer(classes * perClass * channels * side * side)
        margins = FloatBuffer(classes * perClass)
    }

    func label(_ image: Int) -> Int { image / perClass }

    func draw(_ stream: inout RandomStream) {
        for k in 0..<pixels.count { pixels.base[k] = Float(stream.uniform()) }
    }

    /// `steps` steps of every image. The trainer must be ready for gradients of bounds; its own bounds count.
    func ascend(_ trainer: Trainer, steps: Int, rate: Float) {
        for _ in 0..<steps {
            _ = trainer.boundGradient(
                count, load: { self.load($0, into: $1) },
                loss: { i, y, dy in
                    self.margins.base[i] = Loss.margin(y, of: self.label(i), classes: self.classes, weight: 1, gradient: dy)
                    return 0
                }, image: { self.move($0, rate, $1) })
        }
        trainer.sum.bounds.zero()
    }

    /// Network input of an image.
    func load(_ image: Int, into x: UnsafeMutablePointer<Float>) {
        let floats = channels * side * side, source = pixels.base + image * floats
        var clamped = InlineArray<3072, Float>(repeating: 0)  // the largest image; on the stack
        withUnsafeMutableBytes(of: &clamped) { memory in
            guard let base = memory.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
            for k in 0..<floats { base[k] = min(1, max(0, source[k])) }
            normalization.write(base, side: side, to: x)
        }
    }

    /// `gradient` is that of the network's input, (34, 34, channels), border included.
    private func move(_ image: Int, _ rate: Float, _ gradient: UnsafePointer<Float>) {
        let target = pixels.base + image * channels * side * side, border = (34 - side) / 2
        for c in 0..<channels {
            let step = rate / normalization.std[c]
            for y in 0..<side {
                for x in 0..<side {
                    let at = (c * side + y) * side + x
                    guard target[at] >= 0, target[at] <= 1 else { continue }
                    target[at] += step * gradient[((y + border) * 34 + x + border) * channels + c]
                }
            }
        }
    }

    /// For every class the largest margin among its first `images` images.
    func largest(of images: Int) -> [Double] {
        (0..<classes).map { label in
            (0..<min(images, perClass)).reduce(-.infinity) { max($0, Double(margins.base[label * perClass + $1])) }
        }
    }
}
