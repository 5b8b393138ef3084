import Attacks
import Datasets
import Network
import Tensor

/// The paper's metrics, which are those of clients and not of the global model: the accuracy of each client's own model on its own local
/// test set, and its attack success rate, averaged over clients.
///
/// A client's own model is what it makes of the finished global model, defended or not: it trains it on its own images, as in a round.
/// Bounds are handed out beside the model, so it trains without them and then predicts with them. Asked are the clients of the round that
/// would come next; malicious ones are left out, for they would train the backdoor in again.
///
/// Source: Bi and Li, arXiv 2410.17573 v3, section on metrics. The text does not say at which moment a client's model is taken.
public struct ClientModels {
    private let state: FederationState, data: RunData, server: Server, trainers: [Trainers], threads: Int
    private let clients: [Int]
    /// Trained from these parameters, for defences that leave them alone.
    private var trained: (start: [Parameters], models: [Parameters])?

    init(_ state: FederationState, _ data: RunData, _ server: Server, _ trainers: [Trainers], threads: Int) {
        (self.state, self.data, self.server, self.trainers, self.threads) = (state, data, server, trainers, threads)
        clients = state.configuration.clientNumbers(inRound: state.configuration.rounds + 1).filter { !state.configuration.isMalicious($0) }
    }

    /// Means over clients that start from their prototype's model; NaN where no client has a test set.
    mutating func evaluate(_ prototypes: [BoundedModel]) -> ClientRates {
        let start = prototypes.map(\.parameters)
        if trained.map({ zip($0.start, start).allSatisfy(===) }) != true { trained = (start, train(start)) }
        var accuracies: [Double] = [], successes: [Double] = []
        for (client, model) in zip(clients, trained?.models ?? []) {
            let bounds = prototypes[state.prototype(of: client)].bounds
            let local = server.evaluate(model, bounds, data.localTest(of: client), nil)
            if local.images > 0 { accuracies.append(local.accuracy) }
            let attacked = server.evaluate(model, bounds, data.sharedTest, state.backdoor(data.backdoor))
            if attacked.triggeredImages > 0 { successes.append(attacked.attackSuccess) }
        }
        func mean(_ values: [Double]) -> Double { values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count) }
        return ClientRates(accuracy: mean(accuracies), attackSuccess: mean(successes))
    }

    private func train(_ start: [Parameters]) -> [Parameters] {
        let configuration = state.configuration
        return parallelMap(clients.count, threads: threads) { index, worker in
            let client = clients[index], global = start[state.prototype(of: client)]
            return localTraining(
                configuration, data.clients[client], from: global, round: configuration.rounds + 1, client: client,
                trainer: trainers[worker][global.network]
            ).update
        }
    }

    /// About how many passes the evaluation of the global model and of so many defended ones takes, as if defences left the parameters
    /// alone.
    public static func plannedPasses(_ configuration: RunConfiguration, images: Int, models: Int) -> Double {
        let training = images * configuration.localEpochs, measuring = 2 * configuration.localTestImages * (models + 1) / 3
        return Double(configuration.participants * (training + measuring))
    }
}

extension RunData {
    /// The part of the evaluation images that stands for a client's own test set: `localTestImages`, or as many as there are with the
    /// class shares of its training images.
    func localTest(of client: Int) -> Samples {
        let samples = clients[client], classes = samples.set.classes
        var shares = [Int](repeating: 0, count: classes), there = [[Int]](repeating: [], count: classes)
        for i in 0..<samples.count { shares[samples.trueLabel(i)] += 1 }
        var stream = RandomStream(seed: seed, purpose: "local test", client: client)
        for i in stream.permutation(evaluation.count) { there[evaluation.trueLabel(i)].append(i) }
        let most = shares.indices.filter { shares[$0] > 0 }.map { Double(there[$0].count * samples.count) / Double(shares[$0]) }.min() ?? 0
        let size = min(Double(localTestImages), most), total = Double(max(1, samples.count))
        let chosen = shares.indices.flatMap { there[$0].prefix(Int((size * Double(shares[$0]) / total).rounded())) }
        return evaluation.subset(chosen.sorted())
    }

    /// The images that every client's attack success is measured on: the first `localTestImages` of the evaluation images.
    var sharedTest: Samples { evaluation.subset(Array(0..<min(localTestImages, evaluation.count))) }
}
