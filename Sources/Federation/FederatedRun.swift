import Attacks
import Datasets
import Defenses
import Glibc
import Network
import Tensor

/// A federated training from initialisation to the defended models. Its state is the global model, the bounds if they
/// are refitted on the way, the history and the rule's memory: random streams are named by round and client, and
/// momentum starts at zero every round, so nothing else is needed to go on exactly.
public final class FederatedRun {
    public let configuration: RunConfiguration
    public let data: RunData
    public let threads: Int
    public internal(set) var global: Parameters
    public internal(set) var bounds: Bounds?
    public internal(set) var memory: [String: [Float]] = [:]
    /// What the rule had to do differently than asked, each once: for reports.
    public internal(set) var notes: [String] = []
    /// The global model of the round before, where attackers remember it.
    public internal(set) var previousGlobal: Parameters?
    public internal(set) var history: [HistoryRow] = []
    public internal(set) var defended: [DefendedModel] = []
    /// Finished rounds; nil before the initialisation.
    public internal(set) var finishedRounds: Int?

    let server: Server
    let trainers: [Trainer]
    private let rule: any AggregationRule
    private let modelDefenses: [any ModelDefense]
    private let started = monotonicSeconds()
    private var passesDone = 0.0

    /// Called as the work advances.
    public var onProgress: (RunProgress) -> Void = { _ in }
    /// Called when a round, the initialisation or a defence is finished and the state is worth keeping.
    public var onCheckpoint: (FederatedRun) throws -> Void = { _ in }
    /// Asked between rounds and defences; a signal number ends the run with `RunError.interrupted`.
    public var stopSignal: () -> Int32? = { nil }

    public init(_ configuration: RunConfiguration, _ data: RunData, threads: Int) throws {
        try configuration.validate()
        self.configuration = configuration
        self.data = data
        self.threads = threads
        (rule, modelDefenses) = try Self.defenses(configuration.defenses, configuration.ruleOptions)
        let kernels = configuration.instructionSet.kernels
        global = Parameters(data.network)
        server = Server(data.network, kernels: kernels, threads: threads)
        trainers = (0..<max(1, min(threads, configuration.participants))).map { _ in Trainer(data.network, kernels: kernels) }
    }

    /// Splits the names into at most one aggregation rule and any number of defences on the model.
    public static func defenses(_ names: [String], _ options: RuleOptions = RuleOptions()) throws -> (any AggregationRule, [any ModelDefense]) {
        var rules: [any AggregationRule] = [], models: [any ModelDefense] = []
        for name in names {
            if let rule = AggregationRules.make(name, options) {
                if name != FedAvg.name { rules.append(rule) }
            } else if let defense = ModelDefenses.make(name) {
                models.append(defense)
            } else {
                throw RunError.invalid(option: "--defense", given: name,
                                       expected: "one of: \((AggregationRules.names + ModelDefenses.names).joined(separator: ", "))")
            }
        }
        guard rules.count <= 1 else {
            throw RunError.invalid(option: "--defense", given: names.joined(separator: " "), expected: "at most one rule before aggregation")
        }
        return (rules.first ?? FedAvg(), models)
    }

    /// Runs what is left: initialisation, rounds, defences on the final model.
    public func run() throws {
        passesDone = finishedRounds.map { passesToStart + Double($0) * passesPerRound } ?? 0
        if finishedRounds == nil {
            report("initialisation")
            global = server.initialize(configuration, data.synthetic, network: data.network)
            try finish(HistoryRow(round: 0), passes: Double(configuration.initialEpochs * data.synthetic.count))
        }
        while let done = finishedRounds, done < configuration.rounds { try round(done + 1) }
        for defense in modelDefenses where !defended.contains(where: { $0.name == type(of: defense).name }) { try apply(defense) }
    }

    private func round(_ round: Int) throws {
        try stopIfAsked()
        report("round \(round)/\(configuration.rounds)")
        let clients = participants(round)
        let results = trainClients(clients, round)
        var row = HistoryRow(round: round)
        row.loss = benignLoss(clients, results)
        let updates = zip(clients, results).map { ClientUpdate(client: $0, images: data.clients[$0].count, parameters: $1.update) }
        guard updates.allSatisfy({ $0.parameters.allFinite }) else { throw RunError.diverged(round: round, where: "local training") }
        let malicious = configuration.attack.poisonsClients ? configuration.malicious : 0
        if configuration.neurotoxin != nil, malicious > 0 { previousGlobal = global }
        var context = RuleContext(assumedMalicious: assumedMalicious(clients.count), seed: configuration.seed, round: round,
                                  threads: threads, memory: memory, server: serverTools(round))
        let aggregate = try rule.aggregate(global, updates, &context)
        memory = context.memory
        notes += aggregate.notes.filter { !notes.contains($0) }
        if let rejected = aggregate.rejected { row.rate(rejected, of: clients, malicious: malicious) }
        global = server.fuse(configuration, aggregate, bounds: bounds, data.synthetic, round: round)
        guard global.allFinite else { throw RunError.diverged(round: round, where: "fusion") }
        if configuration.boundEvery > 0, round % configuration.boundEvery == 0 {
            bounds = try BoundFit().apply(global, defenseContext(round)).bounds
        }
        let synthetic = Double(data.synthetic.count)
        let local = clients.reduce(0) { $0 + data.clients[$1].count * configuration.epochs(of: $1) }
        try finish(row, passes: Double(local) + synthetic * (Double(configuration.fusionEpochs) + Double(aggregate.teachers.count) / 3)
            + serverPasses(clients.count))
    }

    /// The share of malicious clients that rules assume, whatever the attack is: they cannot know it.
    private func assumedMalicious(_ participants: Int) -> Int {
        min(configuration.malicious, Int((Double(configuration.malicious * participants) / Double(configuration.clients)).rounded(.up)))
    }

    /// This round's clients, ascending: a random subset of the given share.
    public func participants(_ round: Int) -> [Int] {
        guard configuration.participants < configuration.clients else { return Array(0..<configuration.clients) }
        var stream = RandomStream(seed: configuration.seed, purpose: "participants", round: round)
        return stream.permutation(configuration.clients).prefix(configuration.participants).sorted()
    }

    private func trainClients(_ clients: [Int], _ round: Int) -> [LocalResult] {
        let behaviors = MaliciousBehaviors.make(configuration, AttackContext(
            global: global, previous: previousGlobal, participants: clients.count,
            colluders: clients.filter(configuration.isMalicious).count, kernels: server.kernels))
        let slots = Slots<LocalResult>(clients.count)
        parallel(clients.count, threads: threads) { index, worker in
            let client = clients[index]
            slots[index] = localTraining(configuration, data.clients[client], from: global, bounds: bounds,
                                         round: round, client: client, trainer: trainers[worker],
                                         behaviors: configuration.isMalicious(client) ? behaviors : [])
        }
        return slots.values
    }

    private func benignLoss(_ clients: [Int], _ results: [LocalResult]) -> Double {
        let benign = zip(clients, results).filter { !configuration.isMalicious($0.0) }
        return benign.isEmpty ? .nan : benign.reduce(0) { $0 + $1.1.loss } / Double(benign.count)
    }

    private func finish(_ row: HistoryRow, passes: Double) throws {
        var row = row
        let plain = server.evaluate(global, Bounds(), data.evaluation, data.backdoor)
        (row.accuracy, row.attackSuccess, row.robustAccuracy) = (plain.accuracy, plain.attackSuccess, plain.robustAccuracy)
        if let bounds {
            let bounded = server.evaluate(global, bounds, data.evaluation, data.backdoor)
            (row.accuracyBounded, row.attackSuccessBounded, row.robustAccuracyBounded) = (bounded.accuracy, bounded.attackSuccess, bounded.robustAccuracy)
        }
        row.seconds = monotonicSeconds() - started
        passesDone += passes + Double(plain.images + plain.triggeredImages) / 3
        history.append(row)
        finishedRounds = row.round
        try onCheckpoint(self)
        report(row.round == 0 ? "initialisation" : "round \(row.round)/\(configuration.rounds)")
    }

    private func apply(_ defense: any ModelDefense) throws {
        try stopIfAsked()
        let name = type(of: defense).name
        report("defence \(name)")
        let begin = monotonicSeconds()
        let outcome = try defense.apply(global, defenseContext(configuration.rounds))
        let seconds = monotonicSeconds() - begin
        let evaluation = server.evaluate(outcome.parameters, outcome.bounds, data.evaluation, data.backdoor)
        defended.append(DefendedModel(name: name, parameters: outcome.parameters, bounds: outcome.bounds, evaluation: evaluation,
                                      seconds: seconds, passes: outcome.passes, audit: outcome.audit + judge(outcome.suspects)))
        if name == BoundFit.name, let last = history.indices.last {
            bounds = outcome.bounds
            history[last].accuracyBounded = evaluation.accuracy
            history[last].attackSuccessBounded = evaluation.attackSuccess
            history[last].robustAccuracyBounded = evaluation.robustAccuracy
        }
        passesDone += outcome.passes
        try onCheckpoint(self)
    }

    /// How right a defence's suspicion was, which only the experimenter can know.
    private func judge(_ suspects: [Int]?) -> [Finding] {
        guard let suspects, configuration.attack.poisonsSynthetic else { return [] }
        let poisoned = data.synthetic.poisonedPositions, right = suspects.filter { data.synthetic.isPoisoned($0) }.count
        return [Finding("suspects that are poisoned (known to the experimenter only)", "\(right) of \(suspects.count)"),
                Finding("poisoned images among the suspects (likewise)", "\(right) of \(poisoned.count)")]
    }

    private func defenseContext(_ round: Int) -> DefenseContext {
        DefenseContext(synthetic: data.synthetic, kernels: server.kernels, threads: threads, seed: configuration.seed, round: round)
    }

    private func stopIfAsked() throws {
        if let signal = stopSignal() { throw RunError.interrupted(signal: signal) }
    }

    private func report(_ phase: String) {
        onProgress(RunProgress(phase: phase, done: passesDone, total: plannedPasses, latest: history.last))
    }

    /// Passes over images (a forward counts a third) that the whole run takes, defences included.
    public var plannedPasses: Double {
        passesToStart + Double(configuration.rounds) * passesPerRound
            + modelDefenses.reduce(0) { $0 + $1.plannedPasses(data.synthetic.count) + Double(data.evaluation.count) * 2 / 3 }
    }

    private var passesToStart: Double {
        Double(data.synthetic.count * configuration.initialEpochs) + Double(data.evaluation.count) * 2 / 3
    }

    private var passesPerRound: Double {
        let work = data.clients.indices.reduce(0) { $0 + data.clients[$1].count * configuration.epochs(of: $1) }
        return Double(work) * Double(configuration.participants) / Double(configuration.clients) + Double(data.evaluation.count) * 2 / 3
            + Double(data.synthetic.count) * (Double(configuration.fusionEpochs) + Double(configuration.participants) / 3)
            + serverPasses(configuration.participants)
    }

    private func serverPasses(_ clients: Int) -> Double {
        rule.serverPasses(clients: clients, rootPasses: Double(rootSet.count * configuration.localEpochs))
    }
}

/// One slot for each index, written once by whichever thread does the work.
private final class Slots<T>: @unchecked Sendable {
    private let slots: UnsafeMutablePointer<T?>
    private let count: Int

    init(_ count: Int) {
        self.count = count
        slots = .allocate(capacity: count)
        slots.initialize(repeating: nil, count: count)
    }

    deinit {
        slots.deinitialize(count: count)
        slots.deallocate()
    }

    subscript(_ i: Int) -> T? {
        get { slots[i] }
        set { slots[i] = newValue }
    }

    var values: [T] { (0..<count).compactMap { slots[$0] } }
}

/// Seconds of a clock that never jumps.
public func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
