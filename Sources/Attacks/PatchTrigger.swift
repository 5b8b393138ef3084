/// BadNets (Gu et al. 2017): x' = (1 - m) x + m p, a 3x3 white square in the last rows and columns.
public struct PatchTrigger: Trigger {
    public static let name = "patch"
    private let shape: ImageShape, size: Int

    public init(shape: ImageShape, seed: UInt64) throws { try self.init(shape: shape, size: 3) }

    public init(shape: ImageShape, size: Int) throws {
        guard size <= shape.side else {
            throw AttackError.triggerTooLarge(name: Self.name, size: "\(size)x\(size)", image: "\(shape.side)x\(shape.side)")
        }
        self.shape = shape
        self.size = size
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        let first = shape.side - size
        for c in 0..<shape.channels {
            for y in first..<shape.side {
                for x in first..<shape.side { image[(c * shape.side + y) * shape.side + x] = 1 }
            }
        }
    }

    public var overlay: (mask: [Float], pattern: [Float])? {
        let first = shape.side - size, plane = shape.side * shape.side
        let mask = (0..<plane).map { $0 / shape.side >= first && $0 % shape.side >= first ? Float(1) : 0 }
        return (mask, (0..<shape.channels).flatMap { _ in mask })
    }
}
