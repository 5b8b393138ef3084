import Detection

/// What the server trains on the FM data at the end of a round.
struct FusionPlan: Equatable {
    var epochs: Int, rate: Double
    /// Of the labels; the rest is distillation.
    var labelWeight: Double
    /// Whether it is the initialisation, which comes late where the federation vouches for the FM labels first.
    var initialises = false
}

extension RunConfiguration {
    /// Whether the federation vouches for the FM labels.
    public var vouches: Bool { self.defenses.contains(Vouching.name) }

    /// The first rounds, in which the FM data have no part but at the end of the last.
    public var roundsWithoutFM: Int { vouches ? self[Vouching.rounds] : 0 }

    /// The training on FM data at the end of `round`, from 1.
    func fusion(inRound round: Int) -> FusionPlan {
        if round < roundsWithoutFM { return FusionPlan(epochs: 0, rate: self.fusionRate, labelWeight: 1) }
        if round == roundsWithoutFM {
            return FusionPlan(epochs: self.initialEpochs, rate: self.initialRate, labelWeight: 1, initialises: true)
        }
        return FusionPlan(epochs: self.fusionEpochs, rate: self.fusionRate, labelWeight: self.labelWeight)
    }

    /// Passes over FM images at the end of a round, of so many images, clients' shapes and teachers: a teacher's forward counts a third.
    public func passesOfFusion(inRound round: Int, images: Int, shapes: Int, teachers: Int) -> Double {
        let epochs = fusion(inRound: round).epochs
        return round < roundsWithoutFM ? 0 : Double(images) * (Double(epochs * shapes) + Double(teachers) / 3)
    }
}
