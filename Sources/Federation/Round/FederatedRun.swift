import Attacks
import Bounds
import Datasets
import DefenseInterface
import Defenses
import Detection
import Network
import Options
import OwnMethods
import Rules
import Tensor

/// A federated training from initialisation to the defended models, in one process, on data that are all here. The
/// pieces of a round are those of `FederationState` and `Aggregation`, which `step` takes one by one.
public final class FederatedRun {
    public let data: RunData
    public let threads: Int
    public internal(set) var state: FederationState
    public internal(set) var defended: [DefendedModel] = []

    public var configuration: RunConfiguration { state.configuration }
    public var global: Parameters { state.global }
    public var bounds: Bounds? { state.bounds }
    public var history: [HistoryRow] { state.history }
    public var notes: [String] { state.notes }
    public var finishedRounds: Int? { state.finishedRounds }

    let server: Server
    /// One for each thread.
    let trainers: [Trainers]
    let rule: any AggregationRule
    let modelDefenses: [any ModelDefense]
    private lazy var clientModels = ClientModels(state, data, server, trainers, threads: threads)
    private var started = monotonicSeconds()
    /// Whether the largest resident memory is measured, round by round; it resets the count of the whole process.
    public var measuresMemory = false
    private var secondsBefore = 0.0  // that an interrupted run had taken
    private var passesDone = 0.0

    /// Called as the work advances.
    public var onProgress: (RunProgress) -> Void = { _ in }
    /// Called when a round, the initialisation or a defence is finished and the state is worth keeping.
    public var onCheckpoint: (FederatedRun) throws -> Void = { _ in }
    /// Asked between rounds and defences; a signal number ends the run with `RunError.interrupted`.
    public var stopSignal: () -> Int32? = { nil }

    public init(_ configuration: RunConfiguration, _ data: RunData, threads: Int) throws {
        try configuration.validate()
        self.data = data
        self.threads = threads
        (rule, modelDefenses) = try configuration.makeDefenses()
        try Self.checkPrototypes(configuration, rule)
        try MemoryPlan.require(rule, configuration, data.network)
        try MemoryPlan(rule, configuration, data, threads: threads).check()
        let kernels = configuration.instructionSet.kernels
        state = FederationState(configuration, data.network, data.clientsNormalization, data.provenance)
        state.meanImages = data.meanImages
        server = Server(kernels: kernels, threads: threads)
        trainers = server.clientTrainers(configuration.mostTrained)
    }

    /// Runs what is left: initialisation, rounds, defences on the final model.
    public func run() throws {
        try requireOwnMethods()
        try begin()
        (secondsBefore, started) = (history.last.map(\.seconds) ?? 0, monotonicSeconds())
        passesDone = passes(until: finishedRounds)
        while let done = finishedRounds, done < configuration.rounds { try round(done + 1) }
        for defense in modelDefenses where !defended.contains(where: { $0.identity == defense.identity }) { try apply(defense) }
    }

    /// Takes back what was done after the last round of a shorter run: the run goes on as if it had been longer from the first.
    func goOn() {
        defended = []
        takeBackBounds(and: HistoryRow.afterTheLastRound)
    }

    /// Forgets what these defences on the model made, so that `run` does it again.
    public func forget(_ names: [String]) {
        defended.removeAll { names.contains($0.name) }
        guard let hander = modelDefenses.first(where: { type(of: $0).handsOutBounds })?.label, names.contains(hander) else { return }
        takeBackBounds(and: HistoryRow.ofTheBounds)
    }

    /// Bounds that were handed out, and these numbers of the last round.
    private func takeBackBounds(and numbers: [WritableKeyPath<HistoryRow, Double>]) {
        for index in state.prototypes.indices { state.prototypes[index].bounds = nil }
        guard let last = state.history.indices.last else { return }
        for number in numbers { state.history[last][keyPath: number] = .nan }
    }

    /// Throws `OwnMethodError.notGranted` where what is left needs a program that the command line did not name.
    public func requireOwnMethods() throws {
        if finishedRounds ?? 0 < configuration.rounds {
            try configuration.requireGranted(configuration.attack.poisonsClients ? [.rule, .maliciousUpdate] : [.rule])
        }
        let left = modelDefenses.filter { defense in !defended.contains { $0.identity == defense.identity } }
        for method in left.compactMap({ OwnMethod($0.identity) }) { _ = try OwnMethods.program(method) }
    }

    /// Initialises, where that is still to do, and lets the federation vouch for the FM data before, where it is asked.
    public func begin() throws {
        if finishedRounds == nil {
            report("initialisation")
            try state.start(server, data.synthetic)
            let round = configuration.allRounds.lowerBound - 1
            try finish(HistoryRow(round: round), passes: round < 0 ? 0 : passesOfInitialisation)
        }
        while let done = finishedRounds, done < 0 { try round(done + 1) }
    }

    /// Goes on from where `other` is: a run of the same configuration without a defence on the FM data. Where it trusts all FM images
    /// both are the same to the bit.
    public func takeOver(_ other: FederatedRun) throws {
        precondition(finishedRounds == 0 && state.distrusted.isEmpty && state.excluded.isEmpty)
        let mine = (configuration, state.dataAudit)
        state = other.state
        (state.configuration, state.dataAudit) = mine
        defended = other.defended.filter { configuration.defenses.contains($0.identity) }
        try onCheckpoint(self)
    }

    private func round(_ round: Int) throws {
        try stopIfAsked()
        report(phase(round))
        if measuresMemory { ResidentMemory.resetPeak() }
        let clients = state.nextClients, results = try trainAndAggregate(clients)
        var row = state.row(of: results.aggregated, clients, results.losses)
        if round > 0 { row.ruleSeconds = results.aggregated.ruleSeconds }
        state.adopt(results.aggregated)
        state.share(results.patterns)
        let judging = try state.fuse(results.aggregated.teacherLogits, server, data.synthetic)
        let local = clients.reduce(0) { $0 + passes(ofClient: $1, inRound: round) }
        let fusion = configuration.passesOfFusion(
            inRound: round, images: data.synthetic.count, shapes: state.prototypes.count,
            teachers: results.aggregated.teachers)
        try finish(
            row,
            passes: local + fusion + judging + serverPasses(clients.count)
                + (round > 0 ? roundDefensePasses : round == 0 ? passesOfInitialisation : 0))
    }

    /// Clients whose updates are in memory at once; more than a machine has threads, so that these seldom wait.
    private static let clientsAtOnce = 32

    private func trainAndAggregate(_ clients: [Int]) throws -> (
        aggregated: Aggregated, losses: [(client: Int, loss: Double)], patterns: [[Float]]
    ) {
        let aggregation = try Aggregation(
            state, from: clients.map { Sender(client: $0, images: data.clients[$0].count) }, by: rule, server, data.synthetic)
        let behaviors = state.behaviors(server)
        var losses: [(client: Int, loss: Double)] = [], patterns: [[Float]] = []
        for first in stride(from: 0, to: clients.count, by: Self.clientsAtOnce) {
            let some = clients[first..<min(first + Self.clientsAtOnce, clients.count)]
            for (client, result) in zip(some, train(Array(some), behaviors)) {
                guard result.update.allFinite else { throw RunError.diverged(round: state.nextRound, where: "local training") }
                aggregation.add(try sent(result.update, by: client))
                losses.append((client, result.loss))
                if let pattern = result.pattern { patterns.append(pattern) }
            }
        }
        return (try aggregation.finish(), losses, patterns)
    }

    /// What a client sends: of a malicious one what the user's program makes of its model.
    private func sent(_ model: Parameters, by client: Int) throws -> Parameters {
        guard let own = state.ownUpdate(client, server) else { return model }
        let name = own.stateName(client), index = state.prototype(of: client)
        let sent = try own.update(
            model, client: client, images: data.clients[client].count, state: state.prototypes[index].ownStates[name] ?? [:])
        state.prototypes[index].ownStates[name] = sent.state.isEmpty ? nil : sent.state
        return sent.model
    }

    private func train(_ clients: [Int], _ behaviors: [[any MaliciousBehavior]]) -> [LocalResult] {
        parallelMap(clients.count, threads: threads) { index, worker in
            state.train(clients[index], data.clients[clients[index]], trainers[worker], behaviors)
        }
    }

    private func finish(_ row: HistoryRow, passes: Double) throws {
        var row = row
        passesDone += passes
        if configuration.evaluates(afterRound: row.round) { try measure(&row) }
        row.seconds = secondsBefore + monotonicSeconds() - started
        if measuresMemory { row.peakBytes = ResidentMemory.peakBytes }
        state.finish(row)
        try onCheckpoint(self)
        report(phase(row.round))
    }

    private func phase(_ round: Int) -> String {
        round > 0 ? "round \(round)/\(configuration.rounds)" : round < 0 || finishedRounds ?? 0 < 0 ? "\(Vouching.name)" : "initialisation"
    }

    /// The global models' accuracy, and what the attack comes to.
    private func measure(_ row: inout HistoryRow) throws {
        let plain = server.evaluate(state.globals, state.shares, data.evaluation, state.backdoor(data.backdoor))
        try data.backdoor.trigger.check()
        if configuration.evaluateClients, row.round == configuration.rounds {
            report("clients' own models")
            let clients = clientModels.evaluate(state.globals)
            (row.clientAccuracy, row.clientAttackSuccess) = (clients.accuracy, clients.attackSuccess)
        }
        (row.accuracy, row.attackSuccess, row.robustAccuracy) = (plain.accuracy, plain.attackSuccess, plain.robustAccuracy)
        passesDone += prototypes * Double(plain.images + plain.triggeredImages) / 3
    }

    private func apply(_ defense: any ModelDefense) throws {
        try stopIfAsked()
        report("defence \(defense.label)")
        if measuresMemory { ResidentMemory.resetPeak() }
        let begin = monotonicSeconds()
        let hadBounds = state.bounds != nil, clients = AskedClients(data.clients)
        let outcomes = try state.apply(defense, server, data.synthetic, clients),
            models = outcomes.map { BoundedModel($0.parameters, $0.bounds) }
        let judged = outcomes[0].suspects.map { configuration.judge($0, in: data.synthetic) } ?? []
        let seconds = monotonicSeconds() - begin, peak = measuresMemory ? ResidentMemory.peakBytes : .nan,
            passes = outcomes.reduce(0) { $0 + $1.passes }
        var evaluation = server.evaluate(models, state.shares, data.evaluation, state.backdoor(data.backdoor))
        if configuration.evaluateClients { evaluation.clients = clientModels.evaluate(models) }
        defended.append(
            DefendedModel(
                name: defense.label, identity: defense.identity, models: models, evaluation: evaluation, seconds: seconds, passes: passes,
                peakBytes: peak, audit: state.audit(outcomes) + judged))
        if !hadBounds, state.bounds != nil, let last = history.indices.last {
            state.history[last].accuracyBounded = evaluation.accuracy
            state.history[last].attackSuccessBounded = evaluation.attackSuccess
            state.history[last].robustAccuracyBounded = evaluation.robustAccuracy
        }
        passesDone += passes
        try onCheckpoint(self)
    }

    private func stopIfAsked() throws {
        if let signal = stopSignal() { throw RunError.interrupted(signal: signal) }
    }

    private func report(_ phase: String) {
        onProgress(RunProgress(phase: phase, done: passesDone, total: plannedPasses, latest: history.last))
    }
}
