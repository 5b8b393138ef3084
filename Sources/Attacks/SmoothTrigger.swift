import Datasets

/// A faint smooth picture over the whole image: x' = 0.9 x + 0.1 t. t is 4x4 random numbers a channel, uniform in [0, 1],
/// brought to the image's size by bicubic interpolation with aligned corners and clamped to [0, 1]; fixed by the run's
/// seed (stream "smooth picture").
public struct SmoothTrigger: NamedTrigger {
    public static let name = "picture"
    public static let grid = 4, alpha: Float = 0.1
    private let blend: BlendTrigger

    public init(shape: ImageShape, seed: UInt64) {
        var stream = RandomStream(seed: seed, purpose: "smooth picture")
        let image = (0..<shape.channels).flatMap { _ in
            let raw = (0..<Self.grid * Self.grid).map { _ in stream.uniform() }
            return bicubic(raw, side: Self.grid, to: shape.side).map { Float(min(max($0, 0), 1)) }
        }
        blend = BlendTrigger(shape: shape, image: image, alpha: Self.alpha)
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) { blend.stamp(image, share: share) }

    public var overlay: (mask: [Float], pattern: [Float])? { blend.overlay }
}
