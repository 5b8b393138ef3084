import DefenseInterface
import Rules

/// What a run costs, for progress: passes over images, of which a forward counts a third.
extension FederatedRun {
    /// Passes over images (a forward counts a third) that the whole run takes, defences included.
    public var plannedPasses: Double {
        let clientImages = AskedClients(data.clients).images
        return passes(until: configuration.rounds)
            + modelDefenses.reduce(0) {
                $0 + prototypes * ($1.plannedPasses(data.synthetic.count, ofClients: clientImages) + Double(data.evaluation.count) * 2 / 3)
            }
            + (configuration.evaluateClients
                ? ClientModels.plannedPasses(configuration, images: data.meanImages, models: modelDefenses.count) : 0)
    }

    /// How many shapes clients have.
    var prototypes: Double { Double(state.prototypes.count) }

    var passesOfInitialisation: Double {
        configuration.passesOfInitialisation(synthetic: data.synthetic.count, shapes: state.prototypes.count)
    }

    /// Of all rounds until this one, and of the initialisation; none before all that.
    func passes(until round: Int?) -> Double {
        guard let round else { return 0 }
        let before = stride(from: configuration.allRounds.lowerBound, through: min(0, round), by: 1).reduce(0) { $0 + passes(inRound: $1) }
        guard round >= 0 else { return before }
        return before + passesOfInitialisation + passesOfEvaluation + Double(round) * passesOfRound
            + Double(evaluations(until: round)) * passesOfEvaluation
    }

    var passesOfEvaluation: Double { prototypes * Double(data.evaluation.count) * 2 / 3 }

    func passes(inRound round: Int) -> Double {
        passesOfWork(inRound: round) + (round > 0 && configuration.evaluates(afterRound: round) ? passesOfEvaluation : 0)
    }

    /// Of every round after the initialisation, without measuring.
    private var passesOfRound: Double { passesOfWork(inRound: 1) }

    /// How many of the rounds from 1 are measured until this one.
    private func evaluations(until round: Int) -> Int {
        let every = configuration.evaluateEvery
        return round / every + (round == configuration.rounds && round % every != 0 ? 1 : 0)
    }

    private func passesOfWork(inRound round: Int) -> Double {
        let clients = data.clients.indices.filter { round < 1 || !state.excluded.contains($0) },
            participants = min(configuration.participants(inRound: round), clients.count)
        let work = clients.reduce(0) { $0 + passes(ofClient: $1, inRound: round) }
        return work * Double(participants) / Double(max(1, clients.count)) + serverPasses(participants)
            + configuration.passesOfFusion(
                inRound: round, images: data.synthetic.count, shapes: state.prototypes.count, teachers: participants)
            + (round > 0 ? roundDefensePasses : 0)
    }

    func passes(ofClient client: Int, inRound round: Int) -> Double {
        let images = data.clients[client].count
        return Double(images) * configuration.passes(of: client, images: images, inRound: round)
    }

    var roundDefensePasses: Double {
        prototypes * modelDefenses.reduce(0) { $0 + (($1 as? any RoundDefense)?.plannedPassesOfRound(data.synthetic.count) ?? 0) }
    }

    func serverPasses(_ clients: Int) -> Double {
        rule.serverPasses(clients: clients, rootPasses: Double(min(data.meanImages, data.synthetic.count) * configuration.localEpochs))
    }
}
