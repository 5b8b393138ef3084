/// How malicious clients depart from honest training; nil: they do not.
public struct MaliciousOptions: Equatable, Sendable {
    /// Of the clean maxima, what activations are cut to in training.
    public var adaptive: Double?
    /// Fraction of the coordinates that is left alone.
    public var neurotoxin: Double?
    /// L2, around G.
    public var pgdRadius: Double?
    public var boost: AttackBoost?

    public init() {}
}

/// The behaviours that options ask for. Adding one: a file with its type, a field of `MaliciousOptions`, and
/// its line here. They act in this order: coordinates are frozen before the rest is projected, and what is replaced is
/// the projected model.
public enum MaliciousBehaviors {
    public static func make(_ options: MaliciousOptions, _ context: AttackContext) -> [any MaliciousBehavior] {
        guard context.colluders > 0 else { return [] }
        var behaviors: [any MaliciousBehavior] = []
        if let share = options.adaptive { behaviors.append(AdaptiveTraining(share: share, context)) }
        if let share = options.neurotoxin { behaviors.append(Neurotoxin(share: share, context)) }
        if let radius = options.pgdRadius { behaviors.append(ProjectedTraining(radius: radius, context)) }
        if let boost = options.boost { behaviors.append(ModelReplacement(boost, context)) }
        return behaviors
    }
}
