import Attacks
import Bounds
import Datasets
import DefenseInterface
import Defenses
import Detection
import Network

/// Where a run's data came from. Names and digests as in `RunData`; "none" for a data set that only the clients have.
public struct Provenance: Equatable, Sendable {
    public var dataset: String, datasetDigest: String, synthetic: String, syntheticDigest: String

    public init(dataset: String, datasetDigest: String, synthetic: String, syntheticDigest: String) {
        (self.dataset, self.datasetDigest, self.synthetic, self.syntheticDigest) = (dataset, datasetDigest, synthetic, syntheticDigest)
    }

    /// For clients with data of their own.
    public static let unknown = "none"
}

/// What a run carries from round to round: all of it is in the run file, and all that a piece of a round needs besides
/// data. Random streams are named by round and client, and momentum starts at zero every round.
public struct FederationState: Sendable {
    public internal(set) var configuration: RunConfiguration
    public let normalization: Normalization
    public let provenance: Provenance
    public internal(set) var global: Parameters
    /// Finished rounds; nil before the initialisation.
    public internal(set) var finishedRounds: Int?
    /// What the run's defence hands out with the last global model. No client, teacher or fusion meets them.
    public internal(set) var bounds: Bounds?
    /// The last round is done and the bounds are to be handed out. `run` does so at once; between steps it shows.
    public internal(set) var boundsAreDue = false
    /// What defences that work in every round carry, by their label.
    public internal(set) var carried: [String: CarriedState] = [:]
    /// A client's images, on average; nil where only the clients know.
    public internal(set) var meanImages: Int?
    /// The rule's, by name.
    public internal(set) var memory: [String: [Float]] = [:]
    /// What the rule had to do differently than asked, each once: for reports.
    public internal(set) var notes: [String] = []
    /// The global model that no client had a part in yet, trained on FM data; nil where it was not trained at all.
    public internal(set) var initial: Parameters?
    /// Positions of FM images that are not used, ascending, and how `screen` came to them.
    public internal(set) var distrusted: [Int] = []
    public internal(set) var screenAudit: [Finding] = []
    /// What the federation said of the FM labels in the last round.
    public internal(set) var vouchingAudit: [Finding] = []
    /// The global model of the round before, where attackers remember it.
    public internal(set) var previousGlobal: Parameters?
    public internal(set) var history: [HistoryRow] = []

    init(_ configuration: RunConfiguration, _ network: ClampNet, _ normalization: Normalization, _ provenance: Provenance) {
        (self.configuration, self.normalization, self.provenance) = (configuration, normalization, provenance)
        global = Parameters(network)
    }

    public var network: ClampNet { global.network }
    /// The round that comes next, from 1.
    public var nextRound: Int { (finishedRounds ?? 0) + 1 }
    public var isFinished: Bool { finishedRounds ?? 0 >= configuration.rounds }
    /// The clients of the next round.
    public var nextClients: [Int] { configuration.clientNumbers(inRound: nextRound) }

    /// The number of malicious clients that are at work, not only assumed.
    var malicious: Int { configuration.attack.poisonsClients ? configuration.malicious : 0 }

    /// What the malicious clients of the next round do besides training on poisoned images.
    func behaviors(_ server: Server) -> [any MaliciousBehavior] {
        let clients = nextClients
        return MaliciousBehaviors.make(configuration.values, AttackContext(
            global: global, previous: previousGlobal, participants: clients.count,
            colluders: clients.filter(configuration.isMalicious).count, kernels: server.kernels))
    }

    /// One client's part in the next round.
    public func train(_ client: Int, _ samples: Samples, _ trainer: Trainer, _ behaviors: [any MaliciousBehavior]) -> LocalResult {
        localTraining(configuration, samples, from: global, round: nextRound, client: client, trainer: trainer,
                      behaviors: configuration.isMalicious(client) ? behaviors : [])
    }

    /// Takes up what aggregation made of the round's updates; the round is not finished before fusion.
    mutating func adopt(_ aggregated: Aggregated) {
        if malicious > 0, MaliciousBehaviors.compareRounds(configuration.values) { previousGlobal = global }
        if configuration.takesWeights(inRound: nextRound) { global = aggregated.model }
        memory = aggregated.memory
        notes += aggregated.notes.filter { !notes.contains($0) }
    }

    /// Fusion: trains the aggregate on the FM data, of which teachers say these logits. Throws `RunError.diverged`.
    mutating func fuse(_ teacherLogits: [Float], _ server: Server, _ synthetic: Samples) throws {
        let images = fmImages(synthetic), targets = vouch(teacherLogits, for: images)
        let plan = configuration.fusion(inRound: nextRound), isInitial = plan.initialises && plan.epochs > 0
        let start = isInitial ? server.initialWeights(configuration, network) : global
        let fused = server.fuse(configuration, start, teacherLogits, images, round: nextRound, targets: targets)
        if isInitial { initial = fused }
        guard fused.allFinite else { throw RunError.diverged(round: nextRound, where: "fusion") }
        global = fused
        try updateRoundDefenses(server, synthetic)
    }

    /// Lets the defences that work in every round see the global model of the round that ends.
    private mutating func updateRoundDefenses(_ server: Server, _ synthetic: Samples) throws {
        for defense in try FederatedRun.roundDefenses(configuration) {
            guard var state = carried[defense.label] else {
                throw RunError.incompatible("\(defense.label) works in every round from the first, and this run began without it; start the run anew")
            }
            try defense.update(&state, global, defenseContext(server, synthetic, round: nextRound))
            carried[defense.label] = state
        }
    }

    /// Throws `RunError.incompatible` where a defence that works in every round was not there from the first.
    func checkCarried(in path: String) throws {
        guard finishedRounds != nil else { return }
        for defense in try FederatedRun.roundDefenses(configuration) where carried[defense.label] == nil {
            throw RunError.incompatible("\(path): \(defense.label) works in every round from the first, and this run began without it; use --overwrite or another --out")
        }
    }

    /// The model before the first round, trained on the FM data: all of them, or, with `screen`, those that are trusted.
    /// Throws `RunError.diverged`, and `DefenseError` where the FM data do not allow a defence.
    mutating func start(_ server: Server, _ synthetic: Samples) throws {
        try checkDefenses(synthetic)
        try initialize(server, synthetic)
        for defense in try FederatedRun.roundDefenses(configuration) {
            carried[defense.label] = defense.start(global, defenseContext(server, synthetic, round: 0))
        }
    }

    private mutating func initialize(_ server: Server, _ synthetic: Samples) throws {
        if configuration.vouches { return global = try server.initialWeights(configuration, network) }
        guard configuration.screensSynthetic else { return try start(from: server.initialize(configuration, initialising(synthetic), network: network)) }
        var screen = FMScreen()
        let context = defenseContext(server, synthetic, round: 0)
        try start(from: server.initialize(configuration, initialising(synthetic), network: network) { epoch, model in
            guard epoch > configuration.initialEpochs - FMScreen.looks else { return }
            try requireFinite(model)
            screen.look(model, context)
        })
        distrusted = screen.distrusted
        screenAudit = screen.audit + configuration.judge(screen.suspects, in: synthetic)
        guard !distrusted.isEmpty else { return }
        var again = configuration                                                   // about as many steps on fewer images
        again.initialEpochs = Int((Double(configuration.initialEpochs * synthetic.count) / Double(max(1, synthetic.count - distrusted.count))).rounded())
        try start(from: server.initialize(again, trusted(initialising(synthetic)), network: network))
    }

    /// Throws `DefenseError` where a defence could not work on these FM data in the end.
    private func checkDefenses(_ synthetic: Samples) throws {
        if configuration.screensSynthetic { try FMScreen.check(synthetic, for: network, in: provenance.synthetic) }
        if configuration.vouches { try Vouching.check(synthetic, for: network, in: provenance.synthetic) }
        for defense in try FederatedRun.defenses(configuration).1 {
            try type(of: defense).check(synthetic, for: network, in: provenance.synthetic)
        }
    }

    private func requireFinite(_ model: Parameters) throws {
        guard model.allFinite else { throw RunError.diverged(round: 0, where: "initialisation") }
    }

    private mutating func start(from model: Parameters) throws {
        try requireFinite(model)
        global = model
        initial = configuration.initialEpochs > 0 ? model : nil
    }

    /// The FM images as the initialisation meets them.
    private func initialising(_ synthetic: Samples) -> Samples { configuration.fmPoisonStage == .fusion ? synthetic.unpoisoned : synthetic }

    /// The FM images as the server and the teachers meet them at the end of the next round.
    func fmImages(_ synthetic: Samples) -> Samples {
        configuration.fusion(inRound: nextRound).initialises ? initialising(synthetic) : fusing(synthetic)
    }

    /// What stands in the place of FM labels, (images, classes), where the federation vouches for them; nil elsewhere.
    private mutating func vouch(_ teacherLogits: [Float], for images: Samples) -> [Float]? {
        guard configuration.vouches, !teacherLogits.isEmpty else { return nil }
        let vouching = Vouching(logits: teacherLogits, labels: (0..<images.count).map(images.label), classes: network.classes,
                                accused: carried[Vouching.name]?["accused"].map { Int($0) })
        carried[Vouching.name] = CarriedState(["accused": vouching.accused.map { Double($0) }])
        vouchingAudit = vouching.audit + configuration.judge(vouching.unused, in: images)
        return vouching.targets
    }

    /// The FM images as fusion and its teachers meet them.
    func fusing(_ synthetic: Samples) -> Samples { trusted(configuration.fmPoisonStage == .initialisation ? synthetic.unpoisoned : synthetic) }

    /// The FM images that are used.
    func trusted(_ synthetic: Samples) -> Samples {
        guard !distrusted.isEmpty else { return synthetic }
        let out = Set(distrusted)
        return synthetic.subset((0..<synthetic.count).filter { !out.contains($0) })
    }

    /// What a defence on the model after `round` has.
    func defenseContext(_ server: Server, _ synthetic: Samples, round: Int) -> DefenseContext {
        var context = DefenseContext(synthetic: synthetic, initial: initial, kernels: server.kernels, threads: server.threads, seed: configuration.seed, round: round)
        context.distrusted = distrusted
        context.isLastRound = round == configuration.rounds
        return context
    }

    /// What a defence on the model makes of the last global model. The first that hands out bounds gives the run its own.
    mutating func apply(_ defense: any ModelDefense, _ server: Server, _ synthetic: Samples, _ clients: AskedClients? = nil) throws -> DefenseOutcome {
        let outcome: DefenseOutcome
        if let defense = defense as? any RoundDefense, let carried = carried[defense.label] {
            outcome = defense.outcome(carried, global)
        } else {
            var context = defenseContext(server, synthetic, round: configuration.rounds)
            context.clients = clients
            outcome = try defense.apply(global, context)
        }
        if type(of: defense).handsOutBounds, bounds == nil { bounds = outcome.bounds }
        return outcome
    }
}

extension RunConfiguration {
    /// How right a defence's suspicion of FM images was, which only the experimenter can know; nothing where none are poisoned.
    func judge(_ suspects: [Int], in synthetic: Samples) -> [Finding] {
        guard self.attack.poisonsSynthetic else { return [] }
        let right = suspects.filter(synthetic.isPoisoned).count
        return [Finding("suspects that are poisoned (known to the experimenter only)", "\(right) of \(suspects.count)"),
                Finding("poisoned images among the suspects (likewise)", "\(right) of \(synthetic.poisonedPositions.count)")]
    }

    /// A round's clients, ascending: all, or a random subset of the given share.
    public func clientNumbers(inRound round: Int) -> [Int] {
        guard participants < self.clients else { return Array(0..<self.clients) }
        var stream = RandomStream(seed: self.seed, purpose: "participants", round: round)
        return stream.permutation(self.clients).prefix(participants).sorted()
    }

    /// The share of malicious clients that rules assume, whatever the attack is: they cannot know it.
    func assumedMalicious(_ participants: Int) -> Int {
        min(self.malicious, Int((Double(self.malicious * participants) / Double(self.clients)).rounded(.up)))
    }

    /// Mean loss of the benign clients' training; NaN without any.
    func benignLoss(_ losses: [(client: Int, loss: Double)]) -> Double {
        let benign = losses.filter { !isMalicious($0.client) }
        return benign.isEmpty ? .nan : benign.reduce(0) { $0 + $1.loss } / Double(benign.count)
    }
}
