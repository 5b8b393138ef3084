import Attacks
import Datasets
import Defenses
import Network

/// What aggregation rules may ask of the server: FLTrust its own update, DeepSight predictions on random images.
extension FederatedRun {
    func serverTools(_ round: Int) -> ServerTools {
        let configuration = configuration, global = global, bounds = bounds, server = server, root = rootSet
        return ServerTools(normalization: data.synthetic.normalization, side: data.synthetic.shape.side, train: {
            localTraining(configuration, root, from: global, bounds: bounds, round: round, client: configuration.clients, trainer: server.trainer).update
        }, logits: { model, count, load in
            server.predictor.logits(count, model, bounds ?? Bounds(), load: load)
        })
    }

    /// FLTrust's root set, the same in every round: as many FM images as a client has on average, as the server holds them.
    var rootSet: Samples {
        let mean = data.clients.reduce(0) { $0 + $1.count } / max(1, data.clients.count)
        guard data.synthetic.count > max(1, mean) else { return data.synthetic }
        var stream = RandomStream(seed: configuration.seed, purpose: "root set")
        return data.synthetic.subset(stream.permutation(data.synthetic.count).prefix(max(1, mean)).sorted())
    }
}

extension RunConfiguration {
    /// The settings of the rule before aggregation.
    public var ruleOptions: RuleOptions {
        var options = RuleOptions()
        (options.normClipLimit, options.normClipNoise, options.deepsightImages) = (normClipLimit, normClipNoise, deepsightImages)
        return options
    }
}
