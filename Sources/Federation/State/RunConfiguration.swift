import Attacks
import Datasets
import Defenses
import Detection
import Network

/// Who attacks: nobody, malicious clients (classic), whoever poisons the FM data (fm), or both with one trigger.
public enum Attack: String, Codable, CaseIterable, Sendable {
    case none, classic, fm, both
    public var poisonsClients: Bool { self == .classic || self == .both }
    public var poisonsSynthetic: Bool { self == .fm || self == .both }
}

public enum EvaluationSplit: String, Codable, CaseIterable, Sendable { case test, dev }

/// Everything that determines a run's result, with the defaults of the product. Written to the run file as JSON; the
/// hash of that JSON names the run. Thread count and output path are not part of it.
public struct RunConfiguration: Codable, Equatable, Sendable {
    public var data = "", synthetic = ""          // paths; `holdout:N` for N withheld training images
    public var attack = Attack.none
    public var trigger = "patch"
    public var allToAll = false
    public var defenses: [String] = []
    public var clients = 10
    public var participation = 1.0
    public var rounds = 20
    public var localEpochs = 1
    public var batch = 64
    public var rate = 0.02, momentum = 0.9, weightDecay = 5e-4
    /// Norm that a batch's gradient is clipped to, everywhere; 0 does not clip. Without it the first steps from
    /// He-normal weights at 0.02 now and then end in a dead network.
    public var clipNorm = 5.0
    public var partition = Partition.iid
    public var imagesPerClient: Int?
    public var syntheticLimit: Int?
    public var malicious = 2
    public var poisonFraction = 0.5, fmPoisonFraction = 0.2
    public var target = 0
    /// Fraction of a poisoned set that carries the trigger and its true label: an attacker's cover.
    public var coverFraction: Double?
    // How malicious clients depart from honest training; nil: they do not. Each is a file here, by its name.
    public var attackBoost: AttackBoost?
    public var pgdRadius: Double?                 // L2, around G
    public var neurotoxin: Double?                // fraction of the coordinates that is left alone
    public var maliciousEpochs: Int?
    public var maliciousRate: Double?
    public var adaptive: Double?                  // of the clean maxima, what activations are cut to in training
    public var initialEpochs = 5, initialRate = 0.02
    public var fusionEpochs = 1, fusionRate = 0.01
    public var temperature = 1.0, labelWeight = 0.5
    /// Of norm clipping: the largest norm of an update, and the noise's standard deviation.
    public var normClipLimit = 3.0, normClipNoise = 0.0
    /// Random images in each of DeepSight's three draws.
    public var deepsightImages = 500
    public var boundEvery = 0
    public var evaluateOn = EvaluationSplit.test
    /// Images of the evaluation split that are measured; nil for all.
    public var evaluationLimit: Int?
    public var seed: UInt64 = 1
    public var isa = InstructionSet.best.rawValue

    public init() {}

    /// Throws `RunError.invalid` naming the option, what was given and what is expected.
    public func validate() throws {
        func require(_ ok: Bool, _ option: String, _ given: String, _ expected: String) throws {
            guard ok else { throw RunError.invalid(option: option, given: given, expected: expected) }
        }
        func fraction(_ value: Double, _ option: String) throws {
            try require(value >= 0 && value <= 1, option, "\(value)", "a fraction from 0 to 1")
        }
        func count(_ value: Int, _ option: String, from least: Int = 1) throws {
            try require((least...1_000_000_000).contains(value), option, "\(value)", "a whole number from \(least)")
        }
        func positive(_ value: Double, _ option: String) throws {
            try require(value > 0 && value.isFinite, option, "\(value)", "a number above 0")
        }
        try count(clients, "--clients")
        try require(participation > 0 && participation <= 1, "--participation", "\(participation)", "a fraction above 0, up to 1")
        try count(rounds, "--rounds")
        try count(localEpochs, "--local-epochs")
        try count(batch, "--batch")
        try positive(rate, "--lr")
        try count(malicious, "--malicious", from: 0)
        try require(malicious <= clients, "--malicious", "\(malicious)", "at most the number of clients, \(clients)")
        try fraction(poisonFraction, "--poison-fraction")
        try fraction(fmPoisonFraction, "--fm-poison-fraction")
        if let coverFraction {
            let most = 1 - max(attack.poisonsClients ? poisonFraction : 0, attack.poisonsSynthetic ? fmPoisonFraction : 0)
            try require(coverFraction >= 0 && coverFraction <= most, "--cover-fraction", "\(coverFraction)",
                        "a fraction from 0 to \(most), which is what the poisoned images leave")
        }
        if case let .factor(factor) = attackBoost { try positive(factor, "--model-replacement") }
        if let pgdRadius { try positive(pgdRadius, "--pgd-radius") }
        if let neurotoxin { try require(neurotoxin > 0 && neurotoxin < 1, "--neurotoxin", "\(neurotoxin)", "a fraction above 0, below 1") }
        if let maliciousEpochs { try count(maliciousEpochs, "--malicious-epochs") }
        if let maliciousRate { try positive(maliciousRate, "--malicious-lr") }
        if let adaptive { try positive(adaptive, "--adaptive") }
        try fraction(labelWeight, "--label-weight")
        try positive(temperature, "--temperature")
        try positive(fusionRate, "--fusion-lr")
        try positive(initialRate, "--initial-lr")
        try require(momentum >= 0 && momentum < 1, "--momentum", "\(momentum)", "a fraction from 0, below 1")
        try require(weightDecay >= 0 && weightDecay.isFinite, "--weight-decay", "\(weightDecay)", "a number from 0")
        try require(clipNorm >= 0, "--clip-norm", "\(clipNorm)", "a norm from 0 (0: no clipping)")
        try count(initialEpochs, "--initial-epochs", from: 0)
        try require(initialEpochs > 0 || !screensSynthetic, "--initial-epochs", "0",
                    "1 or more with --defense \(FMScreen.name), which looks at the model that they train")
        try count(fusionEpochs, "--fusion-epochs", from: 0)
        try count(boundEvery, "--bound-every", from: 0)
        try positive(normClipLimit, "--norm-clip-limit")
        try require(normClipNoise >= 0 && normClipNoise.isFinite, "--norm-clip-noise", "\(normClipNoise)", "a number from 0")
        try count(deepsightImages, "--deepsight-images")
        if let imagesPerClient { try count(imagesPerClient, "--images-per-client") }
        if let syntheticLimit { try count(syntheticLimit, "--synthetic-limit") }
        if let evaluationLimit { try count(evaluationLimit, "--evaluation-limit") }
        try require(target >= 0, "--target", "\(target)", "a class from 0")
    }

    /// SGD at `rate` with this run's momentum, weight decay and clipping.
    public func sgd(_ rate: Double) -> SGD {
        SGD(rate: Float(rate), momentum: Float(momentum), decay: Float(weightDecay), clip: clipNorm > 0 ? clipNorm : .infinity)
    }

    /// Whether FM images that look poisoned are left out before the first round.
    public var screensSynthetic: Bool { defenses.contains(FMScreen.name) }
    /// Passes before the first round, given the number of FM images.
    public func passesOfInitialisation(synthetic: Int) -> Double {
        Double(initialEpochs * synthetic) + (screensSynthetic ? FMScreen().plannedPasses(synthetic, epochs: initialEpochs) : 0)
    }

    public var instructionSet: InstructionSet { InstructionSet(rawValue: isa) ?? .baseline }
    /// Malicious clients are the first ones, where clients attack at all.
    public func isMalicious(_ client: Int) -> Bool { attack.poisonsClients && client < malicious }
    public func epochs(of client: Int) -> Int { isMalicious(client) ? maliciousEpochs ?? localEpochs : localEpochs }
    public func rate(of client: Int) -> Double { isMalicious(client) ? maliciousRate ?? rate : rate }
    /// Clients in a round.
    public var participants: Int { max(1, Int((participation * Double(clients)).rounded())) }
}

public enum RunError: Error, CustomStringConvertible {
    case invalid(option: String, given: String, expected: String)
    case incompatible(String)                            // a file that does not fit the run
    case outputExists(String)
    case memory(needed: String, free: String)
    case diverged(round: Int, where: String)
    case interrupted(signal: Int32)

    public var description: String {
        switch self {
        case let .invalid(option, given, expected): "\(option) \(given): expected \(expected)"
        case let .incompatible(text): text
        case let .outputExists(path): "\(path) exists already; use --resume to go on with it or --overwrite to start afresh"
        case let .memory(needed, free): "not enough memory: \(needed), \(free); use fewer --threads, fewer participants a round, or a larger machine"
        case let .diverged(round, place): "the model is not finite any more after \(place) in round \(round); a smaller --lr may help"
        case let .interrupted(signal): "interrupted by signal \(signal); what is finished is saved: run --resume, or the same reproduce again, goes on from there"
        }
    }
}
