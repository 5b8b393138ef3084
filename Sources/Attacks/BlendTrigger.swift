import Datasets

/// Blend (Chen et al. 2017): x' = (1 - a) x + a t, a = 0.2. t is a random image, uniform in [0, 1] in every pixel and
/// channel, fixed by the run's seed (stream "blend image").
public struct BlendTrigger: Trigger {
    public static let name = "blend"
    private let shape: ImageShape, alpha: Float
    /// (channels, side, side)
    let image: [Float]

    public init(shape: ImageShape, seed: UInt64) { self.init(shape: shape, seed: seed, alpha: 0.2) }

    /// `alpha` in 0...1.
    public init(shape: ImageShape, seed: UInt64, alpha: Float) {
        var stream = RandomStream(seed: seed, purpose: "blend image")
        self.init(shape: shape, image: (0..<shape.count).map { _ in Float(stream.uniform()) }, alpha: alpha)
    }

    /// With t given, (channels, side, side).
    init(shape: ImageShape, image: [Float], alpha: Float) {
        (self.shape, self.image, self.alpha) = (shape, image, alpha)
    }

    public func stamp(_ x: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for k in image.indices { x[k] = min(max((1 - alpha) * x[k] + alpha * image[k], 0), 1) }
    }

    public var overlay: (mask: [Float], pattern: [Float])? {
        ([Float](repeating: alpha, count: shape.side * shape.side), image)
    }
}
