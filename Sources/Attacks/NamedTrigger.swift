import Options

/// A trigger whose `name` is that on the command line: made for images and a seed.
public protocol NamedTrigger: Trigger {
    /// Its options; none for most.
    static var settings: [any AnySetting] { get }
    /// Whether a number may follow the name, "square:10".
    static var takesNumber: Bool { get }
    /// Whether it has several forms (`variants`), on images that are large enough.
    static var hasVariants: Bool { get }
    /// Throws `AttackError` when the trigger does not fit the images.
    init(shape: ImageShape, seed: UInt64) throws
    /// The same for a trigger with options.
    init(shape: ImageShape, seed: UInt64, _ settings: Settings) throws
    /// The same for a trigger whose name a number follows.
    init(shape: ImageShape, seed: UInt64, number: Int) throws
}

extension NamedTrigger {
    public static var settings: [any AnySetting] { [] }
    public static var takesNumber: Bool { false }
    public static var hasVariants: Bool { false }
    public init(shape: ImageShape, seed: UInt64, _ settings: Settings) throws { try self.init(shape: shape, seed: seed) }
    public init(shape: ImageShape, seed: UInt64, number: Int) throws { try self.init(shape: shape, seed: seed) }
}
