import Attacks
import Bounds
import Datasets
import DefenseInterface
import Defenses
import Network
import Options
import Rules

/// The pieces of a round as `step` takes them, one process and some files each.
public enum RoundSteps {
    /// Throws `SettingError` for a defence that a run by steps cannot have: one that asks the clients, which no step does.
    public static func check(_ configuration: RunConfiguration) throws {
        for name in configuration.defenses {
            guard let defense = ModelDefenses.make(name), type(of: defense).clientPasses > 0 else { continue }
            throw SettingError(
                RunConfiguration.declarations.defenses.name, given: name,
                expected: "another one in a run by steps: \(name) asks the clients after the last round, and no step does; use fedclamp run"
            )
        }
    }

    /// The state before the first round. `meanImages`: nil where only the clients know how many they have.
    public static func initialize(
        _ configuration: RunConfiguration, _ network: ClampNet, _ data: ServerData, _ server: Server, provenance: Provenance,
        meanImages: Int?
    ) throws -> FederationState {
        var state = FederationState(configuration, network, data.synthetic.normalization, provenance)
        state.meanImages = meanImages
        try state.start(server, data.synthetic)
        state.finish(HistoryRow(round: configuration.allRounds.lowerBound - 1))
        return state
    }

    /// One client's training. Throws `RunError` for a client that has no part in the round, or without a finite result.
    public static func local(_ state: FederationState, _ client: Int, _ samples: Samples, _ server: Server) throws -> LocalResult {
        try requireOpen(state)
        guard state.nextClients.contains(client) else {
            throw RunError.incompatible("client \(client) has no part in round \(state.nextRound): \(clientsOf(state))")
        }
        if state.configuration.isMalicious(client) { try state.configuration.requireGranted([.maliciousUpdate]) }
        let result = state.train(client, samples, server.clientTrainers(1)[0], state.behaviors(server))
        guard result.update.allFinite else { throw RunError.diverged(round: state.nextRound, where: "local training of client \(client)") }
        guard let own = state.ownUpdate(client, server) else { return result }
        let sent = try own.update(result.update, client: client, images: samples.count, state: [:])
        guard sent.state.isEmpty else {
            throw RunError.incompatible(
                "client \(client): its malicious update hands over a state to keep, which no update file carries; use fedclamp run")
        }
        return LocalResult(update: sent.model, loss: result.loss, pattern: result.pattern)
    }

    /// Aggregates the updates in `files`; `client` is the sender where that is known from elsewhere.
    ///
    /// - Parameter skipsRefused: goes on without updates that are refused, as long as one is left.
    /// - Throws: `RunError.incompatible` naming the sender, `DefenseError` where the rule's conditions do not hold.
    public static func aggregate(
        _ state: FederationState, _ files: [(client: Int?, path: String)], by rule: any AggregationRule,
        _ data: ServerData, _ server: Server, skipsRefused: Bool
    ) throws -> AggregatedRound {
        try requireOpen(state)
        let (updates, refusals) = try accept(state, files, skipsRefused)
        guard !updates.isEmpty else {
            throw RunError.incompatible("round \(state.nextRound): no update is left of \(files.count): \(refusals.first ?? "")")
        }
        try MemoryPlan.require(rule, state.configuration, state.network)
        let aggregation = try Aggregation(state, from: updates.map(\.sender), by: rule, server, data.synthetic)
        for update in updates { aggregation.add(try update.parameters(state.network(of: update.sender.client))) }
        let aggregated = try aggregation.finish(), clients = updates.map(\.sender.client)
        let row = state.row(of: aggregated, clients, updates.map { ($0.sender.client, $0.loss) })
        var after = state
        after.adopt(aggregated)
        let patterns = updates.compactMap(\.pattern)
        guard Set(patterns.map(\.count)).count <= 1 else {
            throw RunError.incompatible("round \(state.nextRound): the adapted patterns are of images of several sizes")
        }
        after.share(patterns)
        return AggregatedRound(
            state: after, row: row, teacherLogits: aggregated.teacherLogits, clients: clients,
            missing: state.nextClients.filter { !clients.contains($0) }, rejected: aggregated.rejected, refusals: refusals)
    }

    public static func write(_ round: AggregatedRound, _ data: ServerData, to path: String) throws {
        try AggregateFile.write(round, data, to: path)
    }

    /// Fusion of what `AggregateFile.read` returns: the state after the round.
    public static func fuse(
        _ aggregate: (state: FederationState, row: HistoryRow, teacherLogits: [Float]), _ data: ServerData, _ server: Server
    ) throws -> FederationState {
        var state = aggregate.state
        let rows = state.fmImages(data.synthetic).count
        guard !state.configuration.asksTeachers(inRound: state.nextRound) || aggregate.teacherLogits.count == rows * state.network.classes
        else {
            throw RunError.incompatible(
                "the aggregate has \(aggregate.teacherLogits.count) teachers' logits, the FM data ask for \(rows) times \(state.network.classes)"
            )
        }
        try state.fuse(aggregate.teacherLogits, server, data.synthetic)
        state.finish(aggregate.row)
        state.boundsAreDue = try state.isFinished && handingOut(state) != nil
        return state
    }

    /// Hands out the bounds after the last round; what their fit found out.
    public static func bound(_ state: inout FederationState, _ data: ServerData, _ server: Server) throws -> [Finding] {
        guard state.boundsAreDue, let defense = try handingOut(state) else {
            throw RunError.incompatible(
                "no bounds are due after round \(state.finishedRounds ?? 0) of \(state.configuration.rounds) in this run; "
                    + "fedclamp bound fits any checkpoint's")
        }
        state.boundsAreDue = false
        return state.audit(try state.apply(defense, server, data.synthetic))
    }

    /// The run's first defence that hands out bounds.
    private static func handingOut(_ state: FederationState) throws -> (any ModelDefense)? {
        try state.configuration.makeDefenses().1.first { type(of: $0).handsOutBounds }
    }

    /// Updates that are right, ascending by client, and why others are not.
    private static func accept(_ state: FederationState, _ files: [(client: Int?, path: String)], _ skips: Bool) throws -> (
        [UpdateFile], [String]
    ) {
        let fingerprint = state.fingerprint
        var updates: [UpdateFile] = [], refusals: [String] = []
        for (client, path) in files {
            do {
                updates.append(try UpdateFile(reading: path, from: client, state, fingerprint: fingerprint))
            } catch let error as RunError where skips {
                refusals.append("\(error)")
            }
        }
        for (client, all) in Dictionary(grouping: updates, by: \.sender.client).sorted(by: { $0.key < $1.key }) where all.count > 1 {
            let text = "client \(client) sent \(all.count) updates in round \(state.nextRound): \(all.map(\.path).joined(separator: ", "))"
            guard skips else { throw RunError.incompatible(text) }
            refusals.append(text)
            updates.removeAll { $0.sender.client == client }
        }
        return (updates.sorted { $0.sender.client < $1.sender.client }, refusals)
    }

    private static func requireOpen(_ state: FederationState) throws {
        guard !state.isFinished else { throw RunError.incompatible("the run is finished: it has \(state.configuration.rounds) rounds") }
    }

    private static func clientsOf(_ state: FederationState) -> String {
        let clients = state.nextClients
        return "its clients are " + clients.prefix(20).map { "\($0)" }.joined(separator: " ") + (clients.count > 20 ? " ..." : "")
    }
}

/// A client's images.
public enum ClientData {
    /// The share of the run's whole data set that `run` deals this client, as indices.
    /// - Throws: `RunError.incompatible` for another data set or client.
    public static func share(_ state: FederationState, _ client: Int, _ dataset: Dataset) throws -> [Int] {
        let configuration = state.configuration
        guard dataset.digest == state.provenance.datasetDigest else {
            throw RunError.incompatible(
                "\(dataset.name) is not the data set of this run: its digest is \(dataset.digest), that of the run \(state.provenance.datasetDigest)"
            )
        }
        try requireClient(state, client)
        let parts = try Withheld(configuration, dataset.train, holdsOut: SyntheticSource.holdout(ifAny: configuration.synthetic) != nil)
        return try parts.shares(configuration, dataset.train)[client]
    }

    /// Images of `set` (all without `indices`) as the client trains on them, normalised as the server says.
    /// - Throws: `RunError.incompatible` where they do not fit the network.
    public static func samples(_ state: FederationState, _ client: Int, _ set: ImageSet, _ indices: [Int]? = nil) throws -> Samples {
        try requireClient(state, client)
        let set = try state.network.fitting(set, "the images of client \(client)"),
            backdoor = try ServerData.backdoor(
                state.configuration, state.network, ImageShape(channels: set.channels, side: set.height))
        return try clientSamples(state.configuration, client, Samples(set, indices: indices, normalization: state.normalization), backdoor)
    }

    private static func requireClient(_ state: FederationState, _ client: Int) throws {
        guard (0..<state.configuration.clients).contains(client) else {
            throw RunError.incompatible("there is no client \(client): the run has clients 0 to \(state.configuration.clients - 1)")
        }
    }
}

extension ClampNet {
    /// `set` as of this network's classes. Throws `RunError.incompatible` where its channels or classes do not fit.
    public func fitting(_ set: ImageSet, _ name: String) throws -> ImageSet {
        guard set.channels == channels, set.classes <= classes else {
            throw RunError.incompatible(
                "\(name): \(set.channels) channels and \(set.classes) classes, the network takes \(channels) channels to \(classes) classes"
            )
        }
        return ImageSet(channels: channels, height: set.height, width: set.width, classes: classes, images: set.images, labels: set.labels)
    }
}
