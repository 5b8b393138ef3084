import Datasets

/// Scattered white pixels: one for every 64 of the image (12 of 28x28, 16 of 32x32), at places fixed by the run's seed
/// (stream "dots": the first of a permutation of all pixels).
public struct DotsTrigger: NamedTrigger {
    public static let name = "dots"
    public static let pixelsADot = 64
    private let shape: ImageShape
    let places: [Int]

    public init(shape: ImageShape, seed: UInt64) {
        var stream = RandomStream(seed: seed, purpose: "dots")
        let plane = shape.side * shape.side
        places = Array(stream.permutation(plane).prefix(max(1, plane / Self.pixelsADot)))
        self.shape = shape
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for c in 0..<shape.channels {
            for place in places { image[c * shape.side * shape.side + place] = 1 }
        }
    }

    public var overlay: (mask: [Float], pattern: [Float])? {
        var mask = [Float](repeating: 0, count: shape.side * shape.side)
        for place in places { mask[place] = 1 }
        return (mask, (0..<shape.channels).flatMap { _ in mask })
    }
}
