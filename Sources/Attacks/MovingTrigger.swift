import Datasets

/// A chequered patch that is elsewhere in every image: 4x4, white where row + column of the patch is even, else black. Its
/// place is uniform over those at which it fits, and follows from the seed and the number of the image in its data set
/// (stream "moving place"), so that an image carries it at one place whenever it is seen.
public struct MovingTrigger: NamedTrigger {
    public static let name = "moving"
    public static let size = 4
    private let shape: ImageShape, seed: UInt64

    public init(shape: ImageShape, seed: UInt64) throws {
        guard shape.side >= Self.size else {
            throw AttackError.triggerTooLarge(name: Self.name, size: "\(Self.size)x\(Self.size)", image: "\(shape.side)x\(shape.side)")
        }
        (self.shape, self.seed) = (shape, seed)
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) { stamp(image, share: share, key: 0) }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?, key: Int) {
        let (row, column) = place(key)
        for c in 0..<shape.channels {
            let first = image + (c * shape.side + row) * shape.side + column
            for k in 0..<Self.size * Self.size {
                let y = k / Self.size, x = k % Self.size
                first[y * shape.side + x] = (x + y) % 2 == 0 ? 1 : 0
            }
        }
    }

    /// The first row and column of the patch in image `key`.
    func place(_ key: Int) -> (row: Int, column: Int) {
        var stream = RandomStream(seed: seed, purpose: "moving place", client: key)
        let places = shape.side - Self.size + 1
        return (stream.index(below: places), stream.index(below: places))
    }
}
