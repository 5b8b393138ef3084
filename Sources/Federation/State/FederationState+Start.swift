import Attacks
import DefenseInterface
import Defenses
import Detection
import Network
import Rules
import Tensor

/// How a federation begins: the vote on the FM labels, the initialisation.
extension FederationState {
    /// The model before the first round, trained on the FM data. Where the federation vouches for them first, the initial weights.
    /// Throws `RunError.diverged`, and `DefenseError` where the FM data do not allow a defence.
    mutating func start(_ server: Server, _ synthetic: Samples) throws {
        try checkDefenses(synthetic)
        guard !configuration.vouches else {
            for index in prototypes.indices { prototypes[index].global = server.initialWeights(configuration, prototypes[index].network) }
            return
        }
        try leaveOut(server, synthetic)
        try initialize(server, synthetic)
    }

    /// Lets a defence on the FM data, where one is asked for, look at a model that has learned from all of them: images that it finds are
    /// not used.
    private mutating func leaveOut(_ server: Server, _ synthetic: Samples) throws {
        guard let defense = configuration.dataDefense.flatMap({ DataDefenses.make($0, configuration.values) }) else { return }
        let model = try server.initialize(configuration, synthetic, network: network)
        guard model.allFinite else { throw RunError.diverged(round: 0, where: "initialisation") }
        let found = try defense.examine(model, defenseContext(server, synthetic, round: 0))
        distrusted = found.images
        dataAudit =
            [Finding("FM images that are left out", "\(found.images.count) of \(synthetic.count)")] + found.findings
            + configuration.judge(distrusted, in: synthetic)
    }

    /// Asks the federation in round 0 which FM labels it vouches for, and initialises with these: the rounds so far are forgotten.
    /// - Parameter opinions: logarithms of those of `Votes`, (images, classes).
    /// - Returns: passes over FM images that judging them took.
    mutating func vouch(_ opinions: [Float], _ server: Server, _ synthetic: Samples) throws -> Double {
        guard nextRound == 0 else { return 0 }
        let images = fmImages(synthetic)
        var vouching = Vouching(
            opinions.map { Mathematics.exp(Double($0)) }, labels: (0..<images.count).map(images.label), classes: network.classes)
        let passes = try judge(candidatesOf: &vouching, server, images)
        distrusted = vouching.distrusted
        let asking = try look(at: vouching, server, images)
        dataAudit = vouching.audit + configuration.judge(distrusted, in: images) + findingsOfExcluded
        prototypes = prototypes.map { Prototype($0.network) }
        try initialize(server, synthetic)
        return passes + asking
    }

    /// Sets what distrusted images show, by the clients and by a model that learned from the trusted images alone.
    /// - Returns: the passes over images that it took.
    private mutating func look(at vouching: Vouching, _ server: Server, _ images: Samples) throws -> Double {
        guard !vouching.distrusted.isEmpty else { return 0 }
        let trusted = images.subset((0..<images.count).filter { vouching.trusted[$0] }), same = sameSteps(trusted.count, of: images.count)
        let model = try server.initialize(same, trusted, network: network), distrusted = images.subset(vouching.distrusted)
        guard model.allFinite else { throw RunError.diverged(round: 0, where: "initialisation") }
        let says = server.predictor(network).logits(distrusted.count, model, Bounds(network)) { distrusted.load($0, into: $1) }
        shown = vouching.shown(says)
        return Double(same.initialEpochs * trusted.count) + Double(distrusted.count) / 3
    }

    private var findingsOfExcluded: [Finding] {
        guard !excluded.isEmpty else { return [] }
        let right = excluded.filter(configuration.isMalicious).count
        return [
            Finding("clients that support wrong labels and are left out", excluded.map { "\($0)" }.joined(separator: " ")),
            Finding(
                "of these malicious (known to the experimenter only)",
                "\(configuration.attack.poisonsClients ? right : 0) of \(excluded.count)"),
        ]
    }

    /// Judges candidates by a model that learned from other images alone what carries the labels of an accused class.
    /// - Returns: the passes over images that it took.
    private func judge(candidatesOf vouching: inout Vouching, _ server: Server, _ images: Samples) throws -> Double {
        let candidates = vouching.candidates, lesson = vouching.lesson, unseen = vouching.unseen
        guard !candidates.isEmpty else { return 0 }
        let same = sameSteps(lesson.count, of: images.count)
        let model = try server.initialize(same, images.subset(lesson), network: network)
        guard model.allFinite else { throw RunError.diverged(round: 0, where: "initialisation") }
        func said(_ positions: [Int]) -> [Int] { server.predictions(model, Bounds(network), images.subset(positions)) }
        vouching.judge(candidates: said(candidates), unseen: said(unseen))
        return Double(same.initialEpochs * lesson.count) + Double(candidates.count + unseen.count) / 3
    }

    /// The configuration whose initialisation on so many images takes about as many steps as on all.
    private func sameSteps(_ images: Int, of all: Int) -> RunConfiguration {
        var same = configuration
        same.initialEpochs = Int((Double(configuration.initialEpochs * all) / Double(max(1, images))).rounded())
        return same
    }

    /// Trains each prototype on the FM images that are used, in about as many steps however many these are.
    private mutating func initialize(_ server: Server, _ synthetic: Samples) throws {
        let images = used(inInitialisation(synthetic)), shown = shown(of: inInitialisation(synthetic))
        let sameSteps = sameSteps(images.count, of: synthetic.count)
        for index in prototypes.indices {
            let model = try server.initialize(sameSteps, images, network: prototypes[index].network, shown: shown)
            guard model.allFinite else { throw RunError.diverged(round: 0, where: "initialisation") }
            prototypes[index].global = model
            prototypes[index].initial = configuration.initialEpochs > 0 ? model : nil
        }
        for defense in try configuration.makeRoundDefenses() {
            for index in prototypes.indices {
                prototypes[index].carried[defense.label] = defense.start(
                    prototypes[index].global, defenseContext(server, synthetic, round: 0, prototypes[index]))
            }
        }
    }

    /// Throws `DefenseError` where a defence could not work on these FM data in the end.
    private func checkDefenses(_ synthetic: Samples) throws {
        if configuration.vouches { try Vouching.check(synthetic, for: network, in: provenance.synthetic) }
        for defense in DataDefenses.all where defense.name == configuration.dataDefense {
            try defense.check(synthetic, for: network, in: provenance.synthetic)
        }
        let (rule, defenses) = try configuration.makeDefenses()
        if synthetic.count == 0, try rule.needsSyntheticData() { throw DefenseError.needsServer(rule: rule.label) }
        if prototypes.count == 1 || type(of: rule).scope == .trunk {
            let participants = configuration.participants
            try rule.checkClients(participants, malicious: configuration.assumedMalicious(participants))
        }
        for defense in defenses {
            try type(of: defense).check(synthetic, for: network, in: provenance.synthetic)
        }
    }
}
