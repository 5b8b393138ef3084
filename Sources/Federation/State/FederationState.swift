import Attacks
import Bounds
import Datasets
import DefenseInterface
import Defenses
import Detection
import Network
import OwnMethods

/// What a run carries from round to round: all of it is in the run file, and all that a piece of a round needs besides
/// data. Random streams are named by round and client, and momentum starts at zero every round.
public struct FederationState: Sendable {
    public internal(set) var configuration: RunConfiguration
    public let normalization: Normalization
    public let provenance: Provenance
    /// One for each shape that a client has, in the order of `Head.all`. Most runs have one.
    public internal(set) var prototypes: [Prototype]
    /// The last round that is finished, 0 after the initialisation; below 0 while the federation vouches for the FM data. Nil before
    /// all that.
    public internal(set) var finishedRounds: Int?
    /// The last round is done and the bounds are to be handed out. `run` does so at once; between steps it shows.
    public internal(set) var boundsAreDue = false
    /// A client's images, on average; nil where only the clients know.
    public internal(set) var meanImages: Int?
    /// What the rule had to do differently than asked, each once: for reports.
    public internal(set) var notes: [String] = []
    /// Positions of FM images whose labels are not used, ascending, and how the defence on the FM data came to them.
    public internal(set) var distrusted: [Int] = []
    /// What distrusted images show, (distrusted, classes): probabilities that take the label's place, or zeros for an image that is not
    /// used; empty where none is.
    public internal(set) var shown: [Float] = []
    public internal(set) var dataAudit: [Finding] = []
    /// Clients that `vouching` left out of the rounds, ascending.
    public internal(set) var excluded: [Int] = []
    public internal(set) var history: [HistoryRow] = []
    /// The trigger's pattern, (channels, side, side), as malicious clients last adapted it; nil before that, and where they do not.
    public internal(set) var pattern: [Float]?

    init(_ configuration: RunConfiguration, _ network: ClampNet, _ normalization: Normalization, _ provenance: Provenance) {
        (self.configuration, self.normalization, self.provenance) = (configuration, normalization, provenance)
        prototypes = configuration.presentHeads.map { Prototype(ClampNet(channels: network.channels, classes: network.classes, head: $0)) }
    }

    /// Of the first prototype, which is the only one where all clients have one shape.
    public var network: ClampNet { prototypes[0].network }
    public var global: Parameters { prototypes[0].global }
    public var bounds: Bounds? { prototypes[0].bounds }

    /// Position of the prototype that a client belongs to.
    func prototype(of client: Int) -> Int {
        let head = configuration.head(of: client)
        return prototypes.firstIndex { $0.head == head } ?? 0
    }

    /// The network that a client trains.
    func network(of client: Int) -> ClampNet { prototypes[prototype(of: client)].network }

    /// What a defence found out about each prototype's model, with the head before it where there are several.
    func audit(_ outcomes: [DefenseOutcome]) -> [Finding] {
        guard outcomes.count > 1 else { return outcomes[0].audit }
        return zip(prototypes, outcomes).flatMap { prototype, outcome in
            outcome.audit.map { Finding("head \(prototype.head): \($0.name)", $0.value) }
        }
    }

    /// The global models, without bounds.
    var globals: [BoundedModel] { prototypes.map { BoundedModel($0.global) } }
    /// Of all prototypes, the part of the clients that belongs to each.
    var shares: [Double] {
        prototypes.map { prototype in
            Double((0..<configuration.clients).filter { configuration.head(of: $0) == prototype.head }.count)
                / Double(configuration.clients)
        }
    }
    /// The round that comes next.
    public var nextRound: Int { finishedRounds.map { $0 + 1 } ?? configuration.allRounds.lowerBound }
    public var isFinished: Bool { finishedRounds ?? 0 >= configuration.rounds }
    /// The clients of the next round.
    public var nextClients: [Int] { configuration.clientNumbers(inRound: nextRound, without: excluded) }

    /// How many of a round's participants a rule assumes to be malicious, whatever the attack is: it cannot know it.
    func assumedMalicious(_ participants: Int) -> Int { configuration.assumedMalicious(participants, without: excluded.count) }

    /// The number of malicious clients that are at work, not only assumed.
    var malicious: Int { configuration.attack.poisonsClients ? configuration.malicious : 0 }

    /// What the malicious clients of the next round do besides training on poisoned images, for each prototype.
    func behaviors(_ server: Server) -> [[any MaliciousBehavior]] {
        let clients = nextClients
        return prototypes.indices.map { index in
            let mine = prototypes.count == 1 ? clients : clients.filter { prototype(of: $0) == index }
            return MaliciousBehaviors.make(
                configuration.values,
                AttackContext(
                    global: prototypes[index].global, previous: prototypes[index].previousGlobal, participants: mine.count,
                    colluders: mine.filter(configuration.isMalicious).count, kernels: server.kernels))
        }
    }

    /// What a user's program makes of a malicious client's model in the next round; nil for none.
    func ownUpdate(_ client: Int, _ server: Server) -> OwnUpdate? {
        guard configuration.isMalicious(client) else { return nil }
        let index = prototype(of: client), mine = nextClients.filter { prototype(of: $0) == index }
        return OwnUpdate(
            configuration.values,
            AttackContext(
                global: prototypes[index].global, previous: prototypes[index].previousGlobal, participants: mine.count,
                colluders: mine.filter(configuration.isMalicious).count, kernels: server.kernels), seed: configuration.seed,
            round: nextRound)
    }

    /// One client's part in the next round.
    public func train(_ client: Int, _ samples: Samples, _ trainers: Trainers, _ behaviors: [[any MaliciousBehavior]]) -> LocalResult {
        let index = prototype(of: client), global = prototypes[index].global, trainer = trainers[global.network]
        let adapted = adapted(samples, client, global, trainer.kernels)
        var result = localTraining(
            configuration, adapted ?? samples, from: global, round: nextRound, client: client, trainer: trainer,
            behaviors: configuration.isMalicious(client) ? behaviors[index] : [])
        result.pattern = adapted?.backdoor?.trigger.overlay?.pattern
        return result
    }

    /// Takes up what aggregation made of the round's updates; the round is not finished before fusion. Where the server learns from
    /// answers alone
    /// it keeps its model.
    mutating func adopt(_ aggregated: Aggregated) {
        let remember = malicious > 0 && MaliciousBehaviors.compareRounds(configuration.values)
        for (index, part) in aggregated.parts {
            if remember { prototypes[index].previousGlobal = prototypes[index].global }
            if !configuration.distils { prototypes[index].global = part.model }
            prototypes[index].ruleState = part.ruleState
            prototypes[index].ownStates[Prototype.ownRule] = part.own.isEmpty ? nil : part.own
        }
        if let state = aggregated.ruleStateOfAll { prototypes[0].ruleState = state }
        notes += aggregated.notes.filter { !notes.contains($0) }
        excluded += aggregated.excluded
    }

    /// Fusion: trains the aggregates on the FM data, of which teachers say these logits. Throws `RunError.diverged`.
    /// - Returns: passes over FM images beside those that are planned.
    @discardableResult
    mutating func fuse(_ teacherLogits: [Float], _ server: Server, _ synthetic: Samples) throws -> Double {
        guard nextRound > 0 else { return try vouch(teacherLogits, server, synthetic) }
        let images = used(inFusion(synthetic)), shown = shown(of: inFusion(synthetic))
        for index in prototypes.indices {
            let fused = server.fuse(configuration, prototypes[index].global, teacherLogits, images, round: nextRound, shown: shown)
            guard fused.allFinite else { throw RunError.diverged(round: nextRound, where: "fusion") }
            prototypes[index].global = fused
        }
        try updateRoundDefenses(server, synthetic)
        return 0
    }

    /// Lets the defences that work in every round see the global models of the round that ends.
    private mutating func updateRoundDefenses(_ server: Server, _ synthetic: Samples) throws {
        for defense in try configuration.makeRoundDefenses() {
            for index in prototypes.indices {
                guard var state = prototypes[index].carried[defense.label] else {
                    throw RunError.incompatible(
                        "\(defense.label) works in every round from the first, and this run began without it; start the run anew")
                }
                try defense.update(&state, prototypes[index].global, defenseContext(server, synthetic, round: nextRound, prototypes[index]))
                prototypes[index].carried[defense.label] = state
            }
        }
    }

    /// Throws `RunError.incompatible` where a defence that works in every round was not there from the first.
    func checkCarried(in path: String) throws {
        guard let finishedRounds, finishedRounds >= 0 else { return }  // they begin with the initialisation
        for defense in try configuration.makeRoundDefenses() where prototypes.contains(where: { $0.carried[defense.label] == nil }) {
            throw RunError.incompatible(
                "\(path): \(defense.label) works in every round from the first, and this run began without it; use --overwrite or another --out"
            )
        }
    }

    /// What the next round's clients and the rule leave for the history. Clients that vouch only leave nothing.
    func row(of aggregated: Aggregated, _ clients: [Int], _ losses: [(client: Int, loss: Double)]) -> HistoryRow {
        var row = HistoryRow(round: nextRound)
        guard nextRound > 0 else { return row }
        row.loss = configuration.benignLoss(losses)
        if let rejected = aggregated.rejected { row.rate(rejected, of: clients, malicious: malicious) }
        return row
    }

    /// Takes up the round that ends; one before the initialisation has no row in the history.
    mutating func finish(_ row: HistoryRow) {
        finishedRounds = row.round
        if row.round >= 0 { history.append(row) }
    }

    /// What a defence on a prototype's model (the first one's without) after `round` has.
    func defenseContext(_ server: Server, _ synthetic: Samples, round: Int, _ prototype: Prototype? = nil) -> DefenseContext {
        var context = DefenseContext(
            synthetic: synthetic, initial: (prototype ?? prototypes[0]).initial, kernels: server.kernels, threads: server.threads,
            seed: configuration.seed, round: round)
        context.distrusted = distrusted
        context.isLastRound = round == configuration.rounds
        return context
    }

    /// What a defence on the model makes of each prototype's last global model. The first that hands out bounds gives the run its own.
    mutating func apply(_ defense: any ModelDefense, _ server: Server, _ synthetic: Samples, _ clients: AskedClients? = nil) throws
        -> [DefenseOutcome]
    {
        try prototypes.indices.map { index in
            let prototype = prototypes[index], outcome: DefenseOutcome
            if let defense = defense as? any RoundDefense, let carried = prototype.carried[defense.label] {
                outcome = defense.outcome(carried, prototype.global)
            } else {
                var context = defenseContext(server, synthetic, round: configuration.rounds, prototype)
                context.clients = clients
                outcome = try defense.apply(prototype.global, context)
            }
            if type(of: defense).handsOutBounds, prototype.bounds == nil { prototypes[index].bounds = outcome.bounds }
            return outcome
        }
    }
}

extension RunConfiguration {
    /// How right a defence's suspicion of FM images was, which only the experimenter can know; nothing where none are poisoned.
    func judge(_ suspects: [Int], in synthetic: Samples) -> [Finding] {
        guard self.attack.poisonsSynthetic else { return [] }
        let right = suspects.filter(synthetic.isPoisoned).count
        return [
            Finding("suspects that are poisoned (known to the experimenter only)", "\(right) of \(suspects.count)"),
            Finding("poisoned images among the suspects (likewise)", "\(right) of \(synthetic.poisonedPositions.count)"),
        ]
    }

    /// A round's clients, ascending: all but the excluded ones, or a random subset of the given share.
    public func clientNumbers(inRound round: Int, without excluded: [Int] = []) -> [Int] {
        let left = (0..<self.clients).filter { !excluded.contains($0) }
        let participants = participants(inRound: round)
        guard participants < left.count else { return left }
        var stream = RandomStream(seed: self.seed, purpose: "participants", round: round)
        return stream.permutation(self.clients).filter { !excluded.contains($0) }.prefix(participants).sorted()
    }

    /// The share of malicious clients that rules assume, whatever the attack is: they cannot know it. Clients that were excluded are taken
    /// for
    /// malicious ones.
    func assumedMalicious(_ participants: Int, without excluded: Int = 0) -> Int {
        let malicious = max(0, self.malicious - excluded), clients = max(1, self.clients - excluded)
        return min(malicious, Int((Double(malicious * participants) / Double(clients)).rounded(.up)))
    }

    /// Mean loss of the benign clients' training; NaN without any.
    func benignLoss(_ losses: [(client: Int, loss: Double)]) -> Double {
        let benign = losses.filter { !isMalicious($0.client) }
        return benign.isEmpty ? .nan : benign.reduce(0) { $0 + $1.loss } / Double(benign.count)
    }
}
