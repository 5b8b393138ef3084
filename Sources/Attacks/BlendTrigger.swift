import Datasets

/// Blend (Chen et al. 2017): x' = (1 - a) x + a t, a = 0.2. t is a random image, uniform in [0, 1] in every pixel and
/// channel, fixed by the run's seed (stream "blend image"). For several targets there are several such images.
public struct BlendTrigger: NamedTrigger {
    public static let name = "blend"
    public static let hasVariants = true
    private let shape: ImageShape, alpha: Float
    /// (channels, side, side)
    let image: [Float]
    /// Of which the images come; nil where one is given.
    private let seed: UInt64?

    public init(shape: ImageShape, seed: UInt64) { self.init(shape: shape, seed: seed, alpha: 0.2) }

    /// `alpha` in 0...1.
    public init(shape: ImageShape, seed: UInt64, alpha: Float) {
        self.init(shape, seed: seed, alpha, number: 0)
    }

    private init(_ shape: ImageShape, seed: UInt64, _ alpha: Float, number: Int) {
        var stream = RandomStream(seed: seed, purpose: number == 0 ? "blend image" : "blend image \(number)")
        (self.shape, self.alpha, self.seed) = (shape, alpha, seed)
        image = (0..<shape.count).map { _ in Float(stream.uniform()) }
    }

    /// With t given, (channels, side, side).
    init(shape: ImageShape, image: [Float], alpha: Float) {
        (self.shape, self.image, self.alpha, seed) = (shape, image, alpha, nil)
    }

    public var variants: Int { seed == nil ? 1 : Int(UInt16.max) }
    public func variant(_ number: Int) -> any Trigger { seed.map { BlendTrigger(shape, seed: $0, alpha, number: number) } ?? self }

    public func stamp(_ x: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for k in image.indices { x[k] = min(max((1 - alpha) * x[k] + alpha * image[k], 0), 1) }
    }

    public var overlay: (mask: [Float], pattern: [Float])? {
        ([Float](repeating: alpha, count: shape.side * shape.side), image)
    }
}
