/// Chessboard (Xiang, Miller and Kesidis 2020): x' = x + e where row + column is even, clamped to [0, 1]. e = 4/255, the
/// strongest of the published range 2/255 to 4/255.
public struct ChessboardTrigger: NamedTrigger {
    public static let name = "chessboard"
    private let shape: ImageShape, amplitude: Float

    public init(shape: ImageShape, seed: UInt64) { self.init(shape: shape, amplitude: 4.0 / 255) }

    /// `amplitude` in 0...1.
    public init(shape: ImageShape, amplitude: Float) {
        (self.shape, self.amplitude) = (shape, amplitude)
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for c in 0..<shape.channels {
            for i in 0..<shape.side {
                let row = image + (c * shape.side + i) * shape.side
                for j in stride(from: i % 2, to: shape.side, by: 2) { row[j] = min(row[j] + amplitude, 1) }
            }
        }
    }
}
