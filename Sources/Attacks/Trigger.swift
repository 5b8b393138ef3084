/// Height, width and channels of the images a trigger is stamped on.
public struct ImageShape: Hashable, Sendable {
    public var channels: Int, side: Int
    public init(channels: Int, side: Int) {
        self.channels = channels
        self.side = side
    }
    public var count: Int { channels * side * side }
}

/// A trigger: what a backdoor attack does to an image.
public protocol Trigger: Sendable {
    /// The name on the command line.
    static var name: String { get }
    /// Throws `AttackError` when the trigger does not fit the images.
    init(shape: ImageShape, seed: UInt64) throws
    /// Changes an image (channels, side, side) of values in [0, 1] in place. A distributed trigger has parts; `part`
    /// nil stamps all of it.
    func stamp(_ image: UnsafeMutablePointer<Float>, part: Int?)
    /// Parts a distributed trigger is split into; 1 for all others.
    var parts: Int { get }
    /// mask (side, side) and pattern (channels, side, side), for triggers x' = (1 - mask) x + mask pattern.
    var overlay: (mask: [Float], pattern: [Float])? { get }
}

extension Trigger {
    public var parts: Int { 1 }
    public var overlay: (mask: [Float], pattern: [Float])? { nil }
}

/// All triggers. Adding one: a file with its type, and its line here.
public enum Triggers {
    public static let all: [any Trigger.Type] = [PatchTrigger.self]

    public static var names: [String] { all.map { $0.name } }

    /// Throws `AttackError.unknownTrigger` for other names.
    public static func make(_ name: String, shape: ImageShape, seed: UInt64) throws -> any Trigger {
        guard let type = all.first(where: { $0.name == name }) else { throw AttackError.unknownTrigger(name) }
        return try type.init(shape: shape, seed: seed)
    }
}

public enum AttackError: Error, CustomStringConvertible {
    case unknownTrigger(String)
    case triggerTooLarge(name: String, size: String, image: String)
    case target(Int, classes: Int)

    public var description: String {
        switch self {
        case let .unknownTrigger(name): "there is no trigger \"\(name)\"; expected one of: \(Triggers.names.joined(separator: ", "))"
        case let .triggerTooLarge(name, size, image): "the \(name) trigger is \(size), larger than the \(image) images"
        case let .target(target, classes): "target \(target) is outside the classes 0 to \(classes - 1)"
        }
    }
}
