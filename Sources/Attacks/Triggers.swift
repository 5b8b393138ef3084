import Options
import OwnMethods

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
        (all + [PictureTrigger.self]).flatMap { trigger in trigger.settings.map { $0.belonging(to: .attack, .triggered(with: trigger.name)) } }
    }

    /// Throws `AttackError.unknownTrigger` for other names.
    public static func make(_ name: String, shape: ImageShape, seed: UInt64,
                            _ settings: Settings = Settings()) throws -> any Trigger {
        if let method = OwnMethod(name), method.kind == .trigger { return try make(method, shape: shape, seed: seed, settings) }
        guard let type = all.first(where: { $0.name == name }) else { throw AttackError.unknownTrigger(name, known: names) }
        return try type.init(shape: shape, seed: seed, settings)
    }

    /// A user's own. Throws `OwnMethodError.notGranted` where the command line did not name it.
    private static func make(_ method: OwnMethod, shape: ImageShape, seed: UInt64, _ settings: Settings) throws -> any Trigger {
        guard !method.isProgram else { return try OwnTrigger(method, shape: shape, seed: seed) }
        guard let path = OwnMethods.picture(method) else { throw OwnMethodError.notGranted(method) }
        return try PictureTrigger(try TriggerPicture(reading: path), called: method.label, shape: shape, at: settings[PictureTrigger.place])
    }

    /// What a trigger may be called: a name, or a user's own.
    public static let expected = "one of: \(names.joined(separator: ", ")), \(OwnMethod.expected([.trigger]))"
}
