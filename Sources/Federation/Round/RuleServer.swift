import Attacks
import Datasets
import Defenses
import Network
import Rules

extension RuleServer {
    /// What aggregation rules may ask of the server in the next round: FLTrust its own update, trained on a root set as
    /// large as a client's share, DeepSight predictions on random images.
    init(_ state: FederationState, _ prototype: Prototype, _ server: Server, _ synthetic: Samples, rootImages: Int) {
        let configuration = state.configuration
        self.init(
            normalization: synthetic.normalization, side: synthetic.shape.side, synthetic: synthetic,
            train: {
                localTraining(
                    configuration, rootSet(configuration, synthetic, rootImages), from: prototype.global,
                    round: state.nextRound, client: configuration.clients, trainer: server.trainers[prototype.network]
                ).update
            },
            logits: { model, count, load in
                server.predictor(model.network).logits(count, model, Bounds(model.network), load: load)
            })
    }
}

/// FLTrust's root set, the same in every round: `images` FM images as the server holds them, or all where there are fewer.
func rootSet(_ configuration: RunConfiguration, _ synthetic: Samples, _ images: Int) -> Samples {
    let wanted = max(1, images)
    guard synthetic.count > wanted else { return synthetic }
    var stream = RandomStream(seed: configuration.seed, purpose: "root set")
    return synthetic.subset(stream.permutation(synthetic.count).prefix(wanted).sorted())
}
