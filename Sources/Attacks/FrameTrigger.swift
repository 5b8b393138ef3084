/// A white frame: every pixel of the first and last row and column is 1. Large, in plain sight, and the same in every image.
public struct FrameTrigger: NamedTrigger {
    public static let name = "frame"
    private let shape: ImageShape

    public init(shape: ImageShape, seed: UInt64) { self.shape = shape }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for c in 0..<shape.channels {
            for pixel in 0..<shape.side * shape.side where isFrame(pixel) { image[c * shape.side * shape.side + pixel] = 1 }
        }
    }

    private func isFrame(_ pixel: Int) -> Bool {
        let last = shape.side - 1, row = pixel / shape.side, column = pixel % shape.side
        return row == 0 || column == 0 || row == last || column == last
    }

    public var overlay: (mask: [Float], pattern: [Float])? {
        let mask = (0..<shape.side * shape.side).map { isFrame($0) ? Float(1) : 0 }
        return (mask, (0..<shape.channels).flatMap { _ in mask })
    }
}
