import Attacks

/// The network's input, (34, 34, channels) in normalised units, as pixels: perturbations are measured in pixel units, stay
/// within the range of pixels and off the border.
package struct PixelRange {
    /// For each float of the input.
    package let std: [Float], low: [Float], high: [Float], inside: [Bool]
    let channels: Int

    package init(_ samples: Samples) {
        channels = samples.set.channels
        let channels = channels, floats = 34 * 34 * channels, side = samples.set.height, border = (34 - side) / 2
        let normalization = samples.normalization, reach = border..<border + side
        std = (0..<floats).map { normalization.std[$0 % channels] }
        low = (0..<floats).map { -normalization.mean[$0 % channels] / normalization.std[$0 % channels] }
        high = (0..<floats).map { (1 - normalization.mean[$0 % channels]) / normalization.std[$0 % channels] }
        inside = (0..<floats).map { k in reach.contains(k / channels / 34) && reach.contains(k / channels % 34) }
    }

    /// Adds a perturbation, as far as pixels stay in [0, 1].
    package func add(_ perturbation: [Float], to x: UnsafeMutablePointer<Float>) {
        for k in inside.indices where inside[k] { x[k] = min(max(x[k] + perturbation[k], low[k]), high[k]) }
    }

    /// The network's input for each image in turn.
    package func forEachInput(_ images: [Int], of samples: Samples, _ body: (_ image: Int, _ input: UnsafePointer<Float>) -> Void) {
        var x = [Float](repeating: 0, count: inside.count)
        x.withUnsafeMutableBufferPointer { x in
            guard let base = x.baseAddress else { return }
            for image in images {
                samples.load(image, into: base)
                body(image, base)
            }
        }
    }

    /// A limit on norms for images of 784 values, for these: it grows with the fourth root of the number of values, between
    /// triggers on a few pixels, whose norm stays, and those on all, whose norm grows with the square root.
    package func limit(_ norm: Double) -> Double { norm * (Double(inside.count { $0 }) / 784).squareRoot().squareRoot() }

    /// L2, pixels being 0 to 1.
    package func norm(_ perturbation: [Float]) -> Double {
        perturbation.indices.reduce(0) { sum, k in
            let pixel = inside[k] ? Double(perturbation[k] * std[k]) : 0
            return sum + pixel * pixel
        }.squareRoot()
    }
}
