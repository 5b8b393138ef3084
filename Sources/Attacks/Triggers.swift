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
    ]

    public static var names: [String] { all.map { $0.name } }

    public static var settings: [any AnySetting] {
        all.flatMap { trigger in trigger.settings.map { $0.belonging(to: .attack, .triggered(with: trigger.name)) } }
    }

    /// Throws `AttackError.unknownTrigger` for other names.
    public static func make(_ name: String, shape: ImageShape, seed: UInt64,
                            _ settings: Settings = Settings()) throws -> any Trigger {
        guard let type = all.first(where: { $0.name == name }) else { throw AttackError.unknownTrigger(name, known: names) }
        return try type.init(shape: shape, seed: seed, settings)
    }
}
