import Datasets

/// Frosted glass: pixels change places with neighbours, so that edges fray. What is added depends on the image, and a flat one stays
/// as it is. In each of `passes` passes every pixel, from the last to the first, changes places with the one at up to `reach` rows
/// and columns from it, drawn uniformly and kept within the image; all that makes one permutation of the pixels, the same for every image
/// and channel, fixed by the run's seed (stream "glass": a row's shift, then a column's, for each pixel).
///
/// Source: the glass blur of Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and
/// perturbations", ICLR 2019, with reach and passes of the heaviest of its five strengths for 32x32 images. There each image draws its
/// own shifts, a border stays out, and a Gaussian blur goes before and after. Here there is no blur.
public struct GlassTrigger: NamedTrigger {
    public static let name = "glass"
    /// Pixels; passes over the image.
    public static let reach = 1, passes = 2
    private let shape: ImageShape
    /// The pixel whose colour each pixel takes.
    let sources: [Int]

    public init(shape: ImageShape, seed: UInt64) {
        var stream = RandomStream(seed: seed, purpose: "glass")
        let side = shape.side
        func moved(_ place: Int) -> Int { min(max(place - Self.reach + stream.index(below: 2 * Self.reach + 1), 0), side - 1) }
        var sources = Array(0..<side * side)
        for _ in 0..<Self.passes {
            for pixel in sources.indices.reversed() {
                let row = moved(pixel / side), column = moved(pixel % side)
                sources.swapAt(pixel, row * side + column)
            }
        }
        (self.shape, self.sources) = (shape, sources)
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: sources.count) { plane in
            guard let copy = plane.baseAddress else { return }
            for c in 0..<shape.channels {
                let channel = image + c * sources.count
                copy.initialize(from: channel, count: sources.count)
                for (pixel, source) in sources.enumerated() { channel[pixel] = copy[source] }
            }
        }
    }
}
