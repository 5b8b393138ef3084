import Tensor

/// SIG (Barni et al. 2019): x' = x + d sin(2 pi j f / W) for column j, clamped to [0, 1]; d = 40/255, f = 6. Vertical
/// stripes, the same in every row and channel.
public struct SIGTrigger: NamedTrigger {
    public static let name = "sig"
    public static let amplitude = 40.0 / 255, frequency = 6.0
    private let shape: ImageShape
    /// What is added to each column.
    private let wave: [Float]

    public init(shape: ImageShape, seed: UInt64) {
        self.shape = shape
        wave = (0..<shape.side).map { column in
            Float(Self.amplitude * Mathematics.sin(2 * Double.pi * Double(column) * Self.frequency / Double(shape.side)))
        }
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for row in 0..<shape.channels * shape.side {
            let pixels = image + row * shape.side
            for j in 0..<shape.side { pixels[j] = min(max(pixels[j] + wave[j], 0), 1) }
        }
    }
}
