/// A white square of N x N in the last rows and columns, `square:N`: the patch of BadNets at any size. `square` alone
/// is 10x10.
public struct SquareTrigger: NamedTrigger {
    public static let name = "square"
    public static let takesNumber = true
    public static let hasVariants = true
    private let patch: PatchTrigger

    public init(shape: ImageShape, seed: UInt64) throws { try self.init(shape: shape, seed: seed, number: 10) }

    /// `number`: N.
    public init(shape: ImageShape, seed: UInt64, number: Int) throws {
        guard number >= 1 else { throw AttackError.unknownTrigger("\(Self.name):\(number)", known: ["\(Self.name):N, N from 1"]) }
        patch = try PatchTrigger(shape: shape, size: number)
    }

    public var variants: Int { patch.variants }
    public func variant(_ number: Int) -> any Trigger { patch.variant(number) }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) { patch.stamp(image, share: share) }

    public var overlay: (mask: [Float], pattern: [Float])? { patch.overlay }
}
