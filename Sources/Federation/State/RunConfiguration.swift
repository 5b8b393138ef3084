import Attacks
import Defenses
import Detection
import Network
import Options
import Rules

/// Everything that determines a run's result: a value for each of `RunConfiguration.settings`, read and written by the
/// names of `RunSettings`, or `configuration[NormClip.limit]` where a defence or an attack owns the option. Written to
/// the run file as JSON; the hash of that JSON names the run. Thread count and output path are not part of it.
@dynamicMemberLookup
public struct RunConfiguration: Equatable, Sendable {
    public internal(set) var values = Settings()

    public init() {}

    public subscript<Value>(setting: Setting<Value>) -> Value {
        get { values[setting] }
        set { values[setting] = newValue }
    }

    public subscript<Value>(dynamicMember path: KeyPath<RunSettings, Setting<Value>>) -> Value {
        get { values[Self.declarations[keyPath: path]] }
        set { values[Self.declarations[keyPath: path]] = newValue }
    }

    /// Sets the option `name` to what `text` stands for. Throws `SettingError`.
    public mutating func set(_ name: String, _ text: String) throws { try set(name, [text]) }

    /// The same for an option that may be repeated.
    public mutating func set(_ name: String, _ texts: [String]) throws {
        try Self.settings.named(name).set(texts, in: &values)
        self[Self.declarations.defenses] = Recommended.expanded(self.defenses)
    }

    /// Gives the option `name` the value that it has in `other`.
    public mutating func take(_ name: String, from other: RunConfiguration) {
        for setting in Self.settings.all where setting.name == name { setting.copy(from: other.values, to: &values) }
    }

    /// Throws `SettingError` naming the option, what was given and what is expected.
    public func validate() throws {
        for setting in Self.settings.all { try setting.check(in: values) }
        try validateTogether()
    }

    /// What no option shows alone.
    private func validateTogether() throws {
        guard self.malicious <= self.clients else {
            throw Self.error(\.malicious, self.malicious, "at most the number of clients, \(self.clients)")
        }
        let most =
            1
            - max(
                self.attack.poisonsClients ? self.poisonFraction : 0,
                self.attack.poisonsSynthetic ? self.fmPoisonFraction : 0)
        if let cover = self.coverFraction, cover > most {
            throw Self.error(\.coverFraction, cover, "a fraction from 0 to \(most), which is what the poisoned images leave")
        }
        try validateTargets()
        try validateLabels()
        if SyntheticSource.isPlain(self.synthetic) { try validatePlain() }
        guard self.initialEpochs > 0 || dataDefense == nil || SyntheticSource.isPlain(self.synthetic) else {
            throw Self.error(
                \.initialEpochs, 0, "1 or more with --defense \(dataDefense ?? ""), which judges the FM images before they count")
        }
        let judges = self.defenses.filter(AllDefenses.onData.contains)
        guard judges.count <= 1 else {
            throw Self.error(\.defenses, judges, "at most one that says which FM images are used")
        }
        let starting = ModelDefenses.all.first { $0.needsInitial && self.defenses.contains($0.name) }
        if let starting, self.initialEpochs == 0, !SyntheticSource.isPlain(self.synthetic) {
            throw Self.error(\.initialEpochs, 0, "1 or more with --defense \(starting.name), which needs the model that they leave")
        }
    }

    /// Several targets are for triggers of several forms.
    private func validateTargets() throws {
        guard self.target.classes.count > 1 else { return }
        guard !self.allToAll else { throw Self.error(\.target, self.target, "one class with --all-to-all, which leads to all of them") }
        guard adaptation == nil else {
            throw Self.error(\.target, self.target, "one class with --trigger-adaptation, which adapts one pattern")
        }
        guard Triggers.canLeadToSeveral(self.trigger) else {
            throw Self.error(
                \.target, self.target, "one class with --trigger \(self.trigger); several have one of: \(Triggers.ofSeveralTargets)")
        }
    }

    /// With clean labels there are no others to draw from, and a cover would be what poison is.
    private func validateLabels() throws {
        guard let label = self.poisonLabel, self.attack != .none else { return }
        let expected = "target with"
        if self.allToAll { throw Self.error(\.poisonLabel, label, "\(expected) --all-to-all, which gives each class another's label") }
        if self.coverFraction ?? 0 > 0 {
            throw Self.error(\.poisonLabel, label, "\(expected) --cover-fraction, which is of images beside the poisoned ones")
        }
        if self.attack.poisonsSynthetic, self.fmPoisonDraw == .eachOtherClass {
            throw Self.error(\.poisonLabel, label, "\(expected) --fm-poison-draw each-other-class, which leaves the target's images out")
        }
    }

    /// Without FM data.
    private func validatePlain() throws {
        guard !self.attack.poisonsSynthetic else {
            throw Self.error(\.attack, self.attack, "none or classic with --synthetic none: there are no FM data to poison")
        }
        guard dataDefense == nil, !distils else {
            let names = self.defenses.filter(AllDefenses.withoutModel.contains).joined(separator: " and ")
            throw Self.error(\.defenses, self.defenses, "none that works on FM data, as \(names) does, with --synthetic none")
        }
    }

    /// Without FM data nothing is initialised or fused, whatever the epochs.
    public mutating func adaptToData() {
        if SyntheticSource.isPlain(self.synthetic) { (self.initialEpochs, self.fusionEpochs) = (0, 0) }
    }

    private static func error<Value: SettingValue>(
        _ path: KeyPath<RunSettings, Setting<Value>>, _ given: Value,
        _ expected: String
    ) -> SettingError {
        SettingError(declarations[keyPath: path].name, given: given.text, expected: expected)
    }

    /// SGD at `rate` with this run's momentum, weight decay and clipping.
    public func sgd(_ rate: Double) -> SGD {
        SGD(
            rate: Float(rate), momentum: Float(self.momentum), decay: Float(self.weightDecay),
            clip: self.clipNorm > 0 ? self.clipNorm : .infinity)
    }

    /// Passes before the first round, given the numbers of FM images and of clients' shapes. A defence on the FM data looks at a model
    /// that learned from all of them first.
    public func passesOfInitialisation(synthetic: Int, shapes: Int = 1) -> Double {
        Double(shapes * self.initialEpochs * synthetic)
            + (dataDefense != nil && !vouches ? Double(synthetic) * (Double(self.initialEpochs) + 1 / 3) : 0)
    }

    public var instructionSet: InstructionSet { InstructionSet(rawValue: self.isa) ?? .baseline }
    /// Malicious clients are the first ones, where clients attack at all.
    public func isMalicious(_ client: Int) -> Bool { self.attack.poisonsClients && client < self.malicious }
    /// What malicious clients do to the trigger's pattern in a round; nil where it stays.
    var adaptation: TriggerAdaptation? { self.attack.poisonsClients ? TriggerAdaptation(values) : nil }
    /// Passes over a client's images in a round: of its training, and of adapting a pattern.
    func passes(of client: Int, images: Int, inRound round: Int) -> Double {
        Double(epochs(of: client, images: images, inRound: round)) + (isMalicious(client) ? adaptation?.plannedPasses ?? 0 : 0)
    }
    /// Epochs of a client's training in a round, given how many images it has. Before the initialisation it trains `vouching-epochs` times
    /// as many, or as many as come to `DetectionSettings.leastSteps`.
    public func epochs(of client: Int, images: Int, inRound round: Int) -> Int {
        epochs(isMalicious(client) ? self.maliciousEpochs ?? self.localEpochs : self.localEpochs, images, round)
    }

    /// The same of a benign client.
    public func benignEpochs(images: Int, inRound round: Int) -> Int { epochs(self.localEpochs, images, round) }

    private func epochs(_ usual: Int, _ images: Int, _ round: Int) -> Int {
        guard round < 1 else { return usual }
        let steps = max(1, (images + self.batch - 1) / self.batch)
        return max(usual * self[Vouching.epochs], (DetectionSettings.leastSteps + steps - 1) / steps)
    }
    /// Whether the global model is measured at the end of a round; after the last one it always is.
    public func evaluates(afterRound round: Int) -> Bool { round >= 0 && (round % self.evaluateEvery == 0 || round == self.rounds) }
    public func learningRate(of client: Int) -> Double {
        isMalicious(client) ? self.maliciousRate ?? self.rate : self.rate
    }
    /// Clients in a round.
    public var participants: Int { max(1, Int((self.participation * Double(self.clients)).rounded())) }

    /// Clients of a round, as long as none are excluded: all of them in the rounds before the initialisation, where the federation vouches.
    public func participants(inRound round: Int) -> Int { round > 0 ? participants : self.clients }

    /// The most clients that a round trains.
    var mostTrained: Int { participants(inRound: allRounds.lowerBound) }

    /// The most clients that a round with a rule has: the last one before the initialisation ends with a vote, and asks no rule.
    var mostParticipants: Int { vouchingRounds > 1 ? self.clients : participants }
}

extension RunConfiguration {
    public static let declarations = RunSettings()

    /// All options of a run by section: those above, then those of behaviours, triggers and defences.
    public static let settings: SettingList = {
        let all = declarations.declared + Triggers.settings + MaliciousBehaviors.settings + AllDefenses.settings
        return SettingList(
            Section.allCases.flatMap { section in all.filter { $0.section == section } },
            retired: ["boundEvery": .number("0"), "bound-every": .number("0")])
    }()
}
