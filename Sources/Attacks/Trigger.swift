import Options

/// Height, width and channels of the images a trigger is stamped on.
public struct ImageShape: Hashable, Sendable {
    public var channels: Int, side: Int
    public init(channels: Int, side: Int) {
        self.channels = channels
        self.side = side
    }
    public var count: Int { channels * side * side }
}

/// What one of several colluders stamps of a distributed trigger: colluder i of m carries the parts i, i + m, ...; with
/// more colluders than parts several carry the same one.
public struct TriggerShare: Hashable, Sendable {
    public var colluder: Int, of: Int

    /// `colluder` from 0, below `of`.
    public init(_ colluder: Int, of colluders: Int) {
        (self.colluder, of) = (colluder, max(1, colluders))
    }

    public func carries(_ part: Int, parts: Int) -> Bool {
        let carriers = min(of, parts)
        return part % carriers == colluder % carriers
    }
}

/// A trigger: what a backdoor attack does to an image. Everything random in it comes from the run's seed: a run's
/// training, its poisoned FM data and its evaluation see one trigger, the clean run of the same seed (the floor)
/// measures the same one, and seeds differ in it, so that no result hangs on one lucky pattern.
public protocol Trigger: Sendable {
    /// The name on the command line.
    static var name: String { get }
    /// Its options; none for most.
    static var settings: [any AnySetting] { get }
    /// Whether a number may follow the name, "square:10".
    static var takesNumber: Bool { get }
    /// Throws `AttackError` when the trigger does not fit the images.
    init(shape: ImageShape, seed: UInt64) throws
    /// The same for a trigger with options.
    init(shape: ImageShape, seed: UInt64, _ settings: Settings) throws
    /// The same for a trigger whose name a number follows.
    init(shape: ImageShape, seed: UInt64, number: Int) throws
    /// Changes an image (channels, side, side) of values in [0, 1] in place; they stay in [0, 1]. Of a distributed
    /// trigger, only the parts that `share` carries; nil stamps all of it.
    func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?)
    /// The same for a trigger that differs from image to image: `key` is the image's number in its data set.
    func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?, key: Int)
    /// Parts a distributed trigger is split into; 1 for all others.
    var parts: Int { get }
    /// mask (side, side) and pattern (channels, side, side), for triggers x' = (1 - mask) x + mask pattern.
    var overlay: (mask: [Float], pattern: [Float])? { get }
    /// How many images, for each poisoned one, are disturbed and keep their label, so that training tells the trigger
    /// from other disturbances of its kind; 0 for most triggers.
    var noiseRatio: Double { get }
    /// Disturbs an image as the trigger does, but at random: the disturbance is a function of `key`, the image's number
    /// in its data set.
    func disturb(_ image: UnsafeMutablePointer<Float>, key: Int)
    /// Whether it has several forms, which a model can tell apart, so that each can lead to a target of its own.
    static var hasVariants: Bool { get }
    /// How many forms it has on these images; 1 for most triggers.
    var variants: Int { get }
    /// The form of that number, from 0, below `variants`; 0 is the trigger itself.
    func variant(_ number: Int) -> any Trigger
    /// Told of all images that will be stamped, before they are; `flips`: they may come mirrored, too. Throws where that cannot be done.
    func prepare(_ samples: Samples, flips: Bool) throws
    /// Throws where `stamp`, which cannot throw, could not do its work.
    func check() throws
}

extension Trigger {
    public static var settings: [any AnySetting] { [] }
    public init(shape: ImageShape, seed: UInt64, _ settings: Settings) throws {
        try self.init(shape: shape, seed: seed)
    }
    public static var takesNumber: Bool { false }
    public init(shape: ImageShape, seed: UInt64, number: Int) throws { try self.init(shape: shape, seed: seed) }
    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?, key: Int) { stamp(image, share: share) }

    public var parts: Int { 1 }
    public var overlay: (mask: [Float], pattern: [Float])? { nil }
    public var noiseRatio: Double { 0 }
    public static var hasVariants: Bool { false }
    public var variants: Int { 1 }
    public func variant(_ number: Int) -> any Trigger { self }
    public func disturb(_ image: UnsafeMutablePointer<Float>, key: Int) {}
    public func prepare(_ samples: Samples, flips: Bool) throws {}
    public func check() throws {}
    /// Stamps all of the trigger.
    public func stamp(_ image: UnsafeMutablePointer<Float>) { stamp(image, share: nil) }
}
