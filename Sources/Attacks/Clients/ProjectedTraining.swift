import Network

/// PGD (Sun et al. 2019; Wang et al. 2020): after every step the model is projected onto the L2 ball of `radius` around
/// G, X <- G + (X - G) min(1, radius / ||X - G||), so that the update passes for a small one. With model replacement the
/// projected update is scaled afterwards.
struct ProjectedTraining: MaliciousBehavior {
    let radius: Double
    private let global: Parameters

    init(radius: Double, _ context: AttackContext) {
        (self.radius, global) = (radius, context.global)
    }

    func afterStep(_ model: Parameters) {
        let norm = updateNorm(model, global)
        if norm > radius { scaleUpdate(model, around: global, by: radius / norm) }
    }
}
