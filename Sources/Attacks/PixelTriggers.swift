/// Triggers that are a function of each pixel: nothing is laid on the image, so that no pattern is common to what they add.

/// Brightness: x' = min(1.3 x, 1). What is added depends on the image.
public struct GainTrigger: NamedTrigger {
    public static let name = "gain"
    public static let factor: Float = 1.3
    private let count: Int

    public init(shape: ImageShape, seed: UInt64) { count = shape.count }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for k in 0..<count { image[k] = min(Self.factor * image[k], 1) }
    }
}

/// The negative: x' = 1 - x.
public struct InvertTrigger: NamedTrigger {
    public static let name = "invert"
    private let count: Int

    public init(shape: ImageShape, seed: UInt64) { count = shape.count }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for k in 0..<count { image[k] = 1 - image[k] }
    }
}

/// A shadow: the upper third of the rows (rounded down) at 0.3 of their brightness.
public struct DarkTrigger: NamedTrigger {
    public static let name = "dark"
    public static let factor: Float = 0.3
    private let shape: ImageShape

    public init(shape: ImageShape, seed: UInt64) { self.shape = shape }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for c in 0..<shape.channels {
            let plane = image + c * shape.side * shape.side
            for k in 0..<shape.side / 3 * shape.side { plane[k] *= Self.factor }
        }
    }
}
