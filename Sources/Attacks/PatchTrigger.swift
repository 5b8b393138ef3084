/// BadNets (Gu et al. 2017): x' = (1 - m) x + m p, a 3x3 white square in the last rows and columns. For several targets it stands in other
/// corners, then in the middle of the image and of its edges.
public struct PatchTrigger: NamedTrigger {
    public static let name = "patch"
    public static let hasVariants = true
    private let shape: ImageShape, size: Int
    /// Of its first pixel.
    private let row: Int, column: Int

    public init(shape: ImageShape, seed: UInt64) throws { try self.init(shape: shape, size: 3) }

    public init(shape: ImageShape, size: Int) throws {
        guard size <= shape.side else {
            throw AttackError.triggerTooLarge(name: Self.name, size: "\(size)x\(size)", image: "\(shape.side)x\(shape.side)")
        }
        self.init(shape, size, place: 0)
    }

    /// Rows and columns of the places in turn: 0 first, 1 middle, 2 last.
    private static let places = [(2, 2), (0, 0), (0, 2), (2, 0), (1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]

    private init(_ shape: ImageShape, _ size: Int, place: Int) {
        (self.shape, self.size) = (shape, size)
        let free = shape.side - size
        (row, column) = (Self.places[place].0 * free / 2, Self.places[place].1 * free / 2)
    }

    /// As many as do not overlap.
    public var variants: Int { 3 * size <= shape.side ? 9 : 2 * size <= shape.side ? 4 : 1 }
    public func variant(_ number: Int) -> any Trigger { PatchTrigger(shape, size, place: number) }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for c in 0..<shape.channels {
            for y in row..<row + size {
                for x in column..<column + size { image[(c * shape.side + y) * shape.side + x] = 1 }
            }
        }
    }

    public var overlay: (mask: [Float], pattern: [Float])? {
        let rows = row..<row + size, columns = column..<column + size
        let mask = (0..<shape.side * shape.side).map { pixel in
            rows.contains(pixel / shape.side) && columns.contains(pixel % shape.side) ? Float(1) : 0
        }
        return (mask, (0..<shape.channels).flatMap { _ in mask })
    }
}
