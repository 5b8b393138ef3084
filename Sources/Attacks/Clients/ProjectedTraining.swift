import Network
import Options

/// PGD (Sun et al. 2019; Wang et al. 2020): after every step the model is projected onto the L2 ball of `radius` around
/// G, X <- G + (X - G) min(1, radius / ||X - G||), so that the update passes for a small one. With model replacement the
/// projected update is scaled afterwards.
public struct ProjectedTraining: MaliciousBehavior {
    public static let radius = Setting<Double?>(
        "pgd-radius", default: nil, in: .positive, value: "radius",
        help: "Malicious clients stay within this L2 distance of the global model.")
    public static let settings: [any AnySetting] = [radius]

    let radius: Double
    private let global: Parameters

    public init?(_ settings: Settings, _ context: AttackContext) {
        guard let radius = settings[Self.radius] else { return nil }
        self.init(radius: radius, context)
    }

    init(radius: Double, _ context: AttackContext) {
        (self.radius, global) = (radius, context.global)
    }

    public func afterStep(_ model: Parameters) {
        let norm = updateNorm(model, global)
        if norm > radius { scaleUpdate(model, around: global, by: radius / norm) }
    }
}
