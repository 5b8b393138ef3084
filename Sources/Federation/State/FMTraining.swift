import Attacks
import Defenses
import Detection
import Rules

/// When the FM data have a part in the training. Where the federation vouches for their labels, rounds come before the initialisation,
/// which
/// ends round 0: with three of them, rounds -2, -1 and 0. They do without the FM data, and their models are dropped: what follows is
/// to the bit what it would be without the defence, if all labels are trusted.
extension RunConfiguration {
    /// Whether the federation vouches for the FM labels.
    public var vouches: Bool { self.defenses.contains(Vouching.name) }

    /// What decides which FM images are used: `vouching` or another defence on the FM data; nil for none.
    public var dataDefense: String? { self.defenses.first(where: AllDefenses.onData.contains) }

    /// Whether the server learns from the clients' answers alone.
    public var distils: Bool { self.defenses.contains(FederatedDistillation.name) }

    /// The server's training at the end of a round: epochs, and the learning rate of each.
    var serverTraining: (epochs: Int, rate: (Int) -> Double) {
        guard distils else { return (self.fusionEpochs, { _ in self.fusionRate }) }
        let epochs = self[FederatedDistillation.epochs]
        return (epochs, { self.rate * FederatedDistillation.share(ofRateIn: $0, of: epochs) })
    }

    /// The rounds before the initialisation.
    public var vouchingRounds: Int { vouches ? self[Vouching.rounds] : 0 }

    /// All rounds: those before the initialisation, which end with round 0, and the others, from 1.
    public var allRounds: ClosedRange<Int> { 1 - vouchingRounds...self.rounds }

    /// Whether a round ends with a training on FM data, for which the teachers are asked. Round 0 ends with the initialisation.
    func asksTeachers(inRound round: Int) -> Bool { round > 0 ? serverTraining.epochs > 0 : round == 0 }

    /// Passes over FM images at the end of a round, of so many images, clients' shapes and teachers: a teacher's forward counts a third.
    public func passesOfFusion(inRound round: Int, images: Int, shapes: Int, teachers: Int) -> Double {
        let teaching = asksTeachers(inRound: round) ? Double(teachers) / 3 : 0
        return Double(images) * (teaching + (round > 0 ? Double(serverTraining.epochs * shapes) : 0))
    }
}

/// Which FM images have a part in the training, and what stands in the place of their labels.
extension FederationState {
    /// All FM images as the initialisation meets them.
    func inInitialisation(_ synthetic: Samples) -> Samples { configuration.fmPoisonStage == .fusion ? synthetic.unpoisoned : synthetic }

    /// All FM images as fusion meets them.
    func inFusion(_ synthetic: Samples) -> Samples { configuration.fmPoisonStage == .initialisation ? synthetic.unpoisoned : synthetic }

    /// The FM images as teachers meet them at the end of the next round; before the initialisation clients vote on all that the server is
    /// ever given.
    func fmImages(_ synthetic: Samples) -> Samples { nextRound > 0 ? used(inFusion(synthetic)) : synthetic }

    /// Of all FM images those that are used, with their labels or without.
    func used(_ all: Samples) -> Samples { distrusted.isEmpty ? all : all.subset(positionsOfUsed(all)) }

    /// What those that are used show, (used, classes): 1 for the label of one that is trusted; nil where all labels are.
    func shown(of all: Samples) -> [Float]? {
        guard !shown.isEmpty else { return nil }
        let rows = Dictionary(uniqueKeysWithValues: zip(distrusted, distrusted.indices))
        return positionsOfUsed(all).flatMap { image in
            rows[image].map { Array(shown(inRow: $0)) } ?? (0..<network.classes).map { $0 == all.label(image) ? 1 : 0 }
        }
    }

    private func positionsOfUsed(_ all: Samples) -> [Int] {
        let unused = zip(distrusted, distrusted.indices).filter { shown.isEmpty || shown(inRow: $0.1).allSatisfy { $0 == 0 } }
        let out = Set(unused.map(\.0))
        return (0..<all.count).filter { !out.contains($0) }
    }

    private func shown(inRow row: Int) -> ArraySlice<Float> { shown[row * network.classes..<(row + 1) * network.classes] }
}
