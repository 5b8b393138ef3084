import Options

/// All triggers. Adding one: a file with its type, and its line here.
public enum Triggers {
    public static let all: [any Trigger.Type] = [
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
        PictureTrigger.self,
        DotsTrigger.self,
    ]

    public static var names: [String] { all.map { $0.name } }
    /// The names as they may be given: "square:N" stands for any whole number N.
    public static var choices: [String] { names + all.filter { $0.takesNumber }.map { "\($0.name):N" } }

    /// Whether a trigger has this name, "square:10" included.
    public static func isKnown(_ name: String) -> Bool { Allowed.oneOf(choices).allows(name) }

    public static var settings: [any AnySetting] {
        all.flatMap { trigger in trigger.settings.map { $0.belonging(to: .attack, .triggered(with: trigger.name)) } }
    }

    /// Throws `AttackError.unknownTrigger` for other names.
    public static func make(_ name: String, shape: ImageShape, seed: UInt64,
                            _ settings: Settings = Settings()) throws -> any Trigger {
        let parts = name.split(separator: ":", omittingEmptySubsequences: false)
        guard let type = all.first(where: { $0.name == parts[0] }) else { throw unknown(name) }
        guard parts.count > 1 else { return try type.init(shape: shape, seed: seed, settings) }
        guard type.takesNumber, parts.count == 2, let number = Int(parts[1]) else { throw unknown(name) }
        return try type.init(shape: shape, seed: seed, number: number)
    }

    private static func unknown(_ name: String) -> AttackError { .unknownTrigger(name, known: choices) }
}
