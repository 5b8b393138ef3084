/// DBA, the distributed backdoor (Xie et al. 2020): a trigger of four white bars, 1x6 each, in the rows 0 and 4 and the
/// columns 0 to 5 and 9 to 14. Every colluder stamps its share of the bars; the attack is measured with all of them. The
/// FM data, which have one poisoner, carry all of them too.
public struct DBATrigger: NamedTrigger {
    public static let name = "dba"
    /// First row and column of each part.
    static let bars = [(row: 0, column: 0), (row: 0, column: 9), (row: 4, column: 0), (row: 4, column: 9)]
    static let length = 6
    private let shape: ImageShape

    public init(shape: ImageShape, seed: UInt64) throws {
        guard shape.side >= 15 else {
            throw AttackError.triggerTooLarge(name: Self.name, size: "5x15", image: "\(shape.side)x\(shape.side)")
        }
        self.shape = shape
    }

    public var parts: Int { Self.bars.count }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        for (part, bar) in Self.bars.enumerated() where share?.carries(part, parts: parts) ?? true {
            for c in 0..<shape.channels {
                let first = image + (c * shape.side + bar.row) * shape.side + bar.column
                for k in 0..<Self.length { first[k] = 1 }
            }
        }
    }

    public var overlay: (mask: [Float], pattern: [Float])? {
        var mask = [Float](repeating: 0, count: shape.side * shape.side)
        for bar in Self.bars {
            for k in 0..<Self.length { mask[bar.row * shape.side + bar.column + k] = 1 }
        }
        return (mask, (0..<shape.channels).flatMap { _ in mask })
    }
}
