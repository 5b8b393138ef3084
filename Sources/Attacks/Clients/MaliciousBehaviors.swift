import Options

/// What malicious clients can do besides training on poisoned images. Adding one: a file with its type and options, and
/// its line here. They act in this order: coordinates are frozen before the rest is projected, layers are chosen of
/// the projected model, and what is made of it is scaled.
public enum MaliciousBehaviors {
    public static let all: [any MaliciousBehavior.Type] = [
        AdaptiveTraining.self,
        Neurotoxin.self,
        ProjectedTraining.self,
        LayerwisePoisoning.self,
        ModelReplacement.self,
    ]

    public static var settings: [any AnySetting] {
        (all.flatMap { $0.settings } + [TriggerAdaptation.passes as any AnySetting, OwnUpdate.program]).map {
            $0.belonging(to: .malicious, .clientsAttack)
        }
    }

    /// Those that the settings ask for.
    public static func make(_ settings: Settings, _ context: AttackContext) -> [any MaliciousBehavior] {
        guard context.colluders > 0 else { return [] }
        return all.compactMap { $0.init(settings, context) }
    }

    /// Whether one that the settings ask for needs the global model of the round before.
    public static func compareRounds(_ settings: Settings) -> Bool {
        settings[OwnUpdate.program] != nil
            || all.contains { type in type.comparesRounds && type.settings.contains { !$0.isStandard(in: settings) } }
    }
}
