import Options
import OwnMethods

/// All triggers. Adding one: a file with its type, and its line here.
public enum Triggers {
    public static let all: [any NamedTrigger.Type] = [
        PatchTrigger.self,
        BlendTrigger.self,
        SIGTrigger.self,
        ChessboardTrigger.self,
        WaNetTrigger.self,
        DBATrigger.self,
        FrameTrigger.self,
        SquareTrigger.self,
        GainTrigger.self,
        MovingTrigger.self,
        InvertTrigger.self,
        DarkTrigger.self,
        SmoothTrigger.self,
        DotsTrigger.self,
        GlassTrigger.self,
        SpecificTrigger.self,
    ]

    public static var names: [String] { all.map { $0.name } }
    /// The names as they may be given: "square:N" stands for any whole number N.
    public static var choices: [String] { names + all.filter { $0.takesNumber }.map { "\($0.name):N" } }

    /// Whether a trigger has this name, "square:10" included, or is a user's own.
    public static func isKnown(_ name: String) -> Bool { Allowed.oneOf(choices).allows(name) || OwnMethod(name)?.kind == .trigger }

    /// The name without its number, "square" of "square:10"; nil for a user's own.
    public static func kind(_ name: String) -> String? { names.first { name == $0 || name.hasPrefix("\($0):") } }

    /// For people, those that can lead to several targets: "patch, square, blend".
    public static let ofSeveralTargets = all.filter { $0.hasVariants }.map { $0.name }.joined(separator: ", ")

    /// Whether a trigger of this name can lead to several targets.
    public static func canLeadToSeveral(_ name: String) -> Bool { all.contains { $0.hasVariants && $0.name == kind(name) } }

    public static var settings: [any AnySetting] {
        (all.map { ($0.name, $0.settings) } + [(PictureTrigger.name, [PictureTrigger.place])]).flatMap { name, settings in
            settings.map { $0.belonging(to: .attack, .triggered(with: name)) }
        }
    }

    /// Throws `AttackError.unknownTrigger` for other names.
    public static func make(
        _ name: String, shape: ImageShape, seed: UInt64,
        _ settings: Settings = Settings()
    ) throws -> any Trigger {
        if let method = OwnMethod(name), method.kind == .trigger { return try make(method, shape: shape, seed: seed, settings) }
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard let type = all.first(where: { $0.name == parts[0] }) else { throw unknown(name) }
        guard parts.count > 1 else { return try type.init(shape: shape, seed: seed, settings) }
        guard type.takesNumber, parts.count == 2, let number = Int(parts[1]) else { throw unknown(name) }
        return try type.init(shape: shape, seed: seed, number: number)
    }

    /// A user's own. Throws `OwnMethodError.notGranted` where the command line did not name it.
    private static func make(_ method: OwnMethod, shape: ImageShape, seed: UInt64, _ settings: Settings) throws -> any Trigger {
        guard !method.isProgram else { return try OwnTrigger(method, shape: shape, seed: seed) }
        guard let path = OwnMethods.picture(method) else { throw OwnMethodError.notGranted(method) }
        return try PictureTrigger(try TriggerPicture(reading: path), called: method.label, shape: shape, at: settings[PictureTrigger.place])
    }

    /// What a trigger may be called: a name, or a user's own.
    public static let expected = "one of: \(choices.joined(separator: ", ")), \(OwnMethod.expected([.trigger]))"

    private static func unknown(_ name: String) -> AttackError { .unknownTrigger(name, known: choices) }
}
