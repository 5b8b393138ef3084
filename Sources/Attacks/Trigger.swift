/// A trigger: what a backdoor attack does to an image. Everything random in it comes from the run's seed: a run's
/// training, its poisoned FM data and its evaluation see one trigger, the clean run of the same seed (the floor)
/// measures the same one, and seeds differ in it, so that no result hangs on one lucky pattern.
public protocol Trigger: Sendable {
    /// What it is called, where nobody gave a name.
    static var name: String { get }
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
    /// How many forms it has on these images, which a model can tell apart, so that each can lead to a target of its own; 1 for most
    /// triggers.
    var variants: Int { get }
    /// The form of that number, from 0, below `variants`; 0 is the trigger itself.
    func variant(_ number: Int) -> any Trigger
    /// Told of all images that will be stamped, before they are: how many, and the bytes of each, (channels, side, side). Throws where that
    /// cannot be done.
    func prepare(_ count: Int, image: (Int) -> [UInt8]) throws
    /// Throws where `stamp`, which cannot throw, could not do its work.
    func check() throws
}

extension Trigger {
    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?, key: Int) { stamp(image, share: share) }

    public var parts: Int { 1 }
    public var overlay: (mask: [Float], pattern: [Float])? { nil }
    public var noiseRatio: Double { 0 }
    public var variants: Int { 1 }
    public func variant(_ number: Int) -> any Trigger { self }
    public func disturb(_ image: UnsafeMutablePointer<Float>, key: Int) {}
    public func prepare(_ count: Int, image: (Int) -> [UInt8]) throws {}
    public func check() throws {}
    /// Stamps all of the trigger.
    public func stamp(_ image: UnsafeMutablePointer<Float>) { stamp(image, share: nil) }
}
