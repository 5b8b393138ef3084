import Attacks
import Bounds
import Datasets
import Defenses
import Network
import Options

/// The options of a run: each is declared here, or in the file of the rule, defence, trigger or malicious behaviour that it
/// belongs to. Adding one is adding a line.
public struct RunSettings: Sendable {
    // What is attacked, and how.
    public let attack = Setting("attack", default: Attack.none, value: "name",
                                help: "Who attacks: nobody, malicious clients (classic), those who poison the FM data (fm), or both.", section: .attack)
    public let trigger = Setting("trigger", default: "patch", in: .oneOf(Triggers.names), value: "name",
                                 help: "What the backdoor reacts to.", section: .attack, changes: .training(.attackOrFloor))
    public let target = Setting("target", default: 0, in: .count(from: 0, "a class"), value: "class",
                                help: "Class that the backdoor leads to.", section: .attack, changes: .training(.attackOrFloor))
    public let allToAll = Setting("all-to-all", default: false,
                                  help: "Poisoned images get the class after their own instead of the target.", section: .attack,
                                  changes: .training(.attackOrFloor))
    public let malicious = Setting("malicious", default: 2, in: .count(from: 0), value: "n",
                                   help: "Malicious clients, the first ones; also the number that rules assume.", section: .attack)
    public let poisonFraction = Setting("poison-fraction", default: 0.5, in: .fraction, value: "fraction",
                                        help: "Poisoned fraction of a malicious client's images.", section: .attack,
                                        changes: .training(.clientsAttack))
    public let fmPoisonFraction = Setting("fm-poison-fraction", default: 0.2, in: .fraction, value: "fraction",
                                          help: "Poisoned fraction of the FM data.", section: .attack, changes: .training(.syntheticAttack))
    public let fmPoisonDraw = Setting("fm-poison-draw", default: PoisonDraw.all, value: "kind",
                                      help: "Which FM images are poisoned: drawn from all, or the same fraction of each class but the target.",
                                      section: .attack, changes: .training(.syntheticAttack))
    public let fmPoisonStage = Setting("fm-poison-stage", default: PoisonStage.both, value: "stage",
                                       help: "Where the FM data are poisoned: in the initialisation, in fusion, or in both.",
                                       section: .attack, changes: .training(.syntheticAttack))
    public let coverFraction = Setting<Double?>(
        "cover-fraction", default: nil, in: .fraction, value: "fraction",
        help: "Fraction of a poisoned set that carries the trigger and keeps its label, besides what the trigger itself asks for.",
        section: .attack, changes: .training(.attacked))

    public let maliciousEpochs = Setting<Int?>(
        "malicious-epochs", default: nil, in: .count(from: 1), unset: "as local-epochs", value: "n",
        help: "Epochs of malicious clients.", section: .malicious, changes: .training(.clientsAttack))
    public let maliciousRate = Setting<Double?>(
        "malicious-lr", default: nil, in: .positive, unset: "as lr", value: "rate", help: "Learning rate of malicious clients.",
        formerly: ["maliciousRate"], section: .malicious, changes: .training(.clientsAttack))

    public let defenses = Setting<[String]>(
        "defense", default: [], in: .oneOf(AllDefenses.names + BoundVariants.all.map(\.name), expected: AllDefenses.expected), value: "name",
        help: AllDefenses.help, formerly: ["defenses"], section: .defense,
        changes: .partly, part: AllDefenses.shapingTraining)

    // Clients and rounds.
    public let clients = Setting("clients", default: 10, in: .count(from: 1), value: "n", help: "Clients in all.", section: .training)
    public let participation = Setting("participation", default: 1.0, in: .fractionAboveZero, value: "fraction",
                                       help: "Fraction of the clients in a round.", section: .training)
    public let rounds = Setting("rounds", default: 20, in: .count(from: 1), value: "n", help: "Rounds.", section: .training)
    public let localEpochs = Setting("local-epochs", default: 1, in: .count(from: 1), value: "n",
                                     help: "Epochs of a client's training in a round.", section: .training)
    public let batch = Setting("batch", default: 64, in: .count(from: 1), value: "n", help: "Images in a step.", section: .training)
    public let rate = Setting("lr", default: 0.02, in: .positive, value: "rate", help: "Learning rate of the clients.",
                              formerly: ["rate"], section: .training)
    public let momentum = Setting("momentum", default: 0.9, in: .fractionBelowOne, value: "fraction",
                                  help: "Momentum of all trainings; starts at zero every round.", section: .training)
    public let weightDecay = Setting("weight-decay", default: 5e-4, in: .notNegative, value: "decay",
                                     help: "Weight decay of all trainings.", section: .training)
    /// Without it the first steps from He-normal weights at 0.02 now and then end in a dead network.
    public let clipNorm = Setting("clip-norm", default: 5.0, in: .notNegative, value: "norm",
                                  help: "Norm that a batch's gradient is clipped to; 0 for no clipping.", section: .training)
    public let partition = Setting("partition", default: Partition.iid, value: "kind",
                                   help: "How clients share the images: iid, dirichlet:A or shards:K.", section: .training)
    public let imagesPerClient = Setting<Int?>("images-per-client", default: nil, in: .count(from: 1), unset: "all", value: "n",
                                               help: "Most images a client keeps of those it is dealt.", section: .training)

    // The server's own trainings.
    public let syntheticLimit = Setting<Int?>("synthetic-limit", default: nil, in: .count(from: 1), unset: "all", value: "n",
                                              help: "Most FM images the server keeps.", section: .server)
    public let initialEpochs = Setting("initial-epochs", default: 5, in: .count(from: 0), value: "n",
                                       help: "Epochs on the FM data before the first round.", section: .server)
    public let initialRate = Setting("initial-lr", default: 0.02, in: .positive, value: "rate",
                                     help: "Learning rate of the initialisation.", formerly: ["initialRate"], section: .server)
    public let fusionEpochs = Setting("fusion-epochs", default: 1, in: .count(from: 0), value: "n",
                                      help: "Epochs of fusion in a round.", section: .server)
    public let fusionRate = Setting("fusion-lr", default: 0.01, in: .positive, value: "rate", help: "Learning rate of fusion.",
                                    formerly: ["fusionRate"], section: .server)
    public let temperature = Setting("temperature", default: 1.0, in: .positive, value: "t",
                                     help: "Temperature of the distillation in fusion.", section: .server)
    public let labelWeight = Setting("label-weight", default: 0.5, in: .fraction, value: "fraction",
                                     help: "Weight of the labels in fusion; the rest is distillation.", section: .server)

    public let evaluateOn = Setting("evaluate-on", default: EvaluationSplit.test, value: "split",
                                    help: "Images to measure on; dev: training images that no client gets.", section: .evaluation)
    public let evaluationLimit = Setting<Int?>("evaluation-limit", default: nil, in: .count(from: 1), unset: "all", value: "n",
                                               help: "Most images that are measured on.", section: .evaluation)
    public let evaluateClients = Setting("evaluate-clients", default: false,
                                         help: "Also measure the clients' own models, each on a local test set with the client's class shares.",
                                         section: .evaluation)
    public let localTestImages = Setting("local-test-images", default: 1_000, in: .count(from: 1), value: "n",
                                         help: "Most images of a client's local test set, and most triggered ones.", section: .evaluation)
    public let seed = Setting<UInt64>("seed", default: 1, value: "n", help: "The one seed of all random numbers.", section: .evaluation)

    // What each command names in its own way.
    public let data = Setting("data", default: "", value: "file.h5", help: "Data set.", section: .command, changes: .nothing)
    public let synthetic = Setting("synthetic", default: "", value: "file.h5|holdout:n",
                                   help: "FM data: a file, or holdout:N for N training images that no client gets.", section: .command,
                                   changes: .partly, part: { RunData.holdout(ifAny: $0) == nil ? "" : $0 })
    public let isa = Setting("isa", default: InstructionSet.best.rawValue,
                             in: .oneOf(InstructionSet.allCases.map(\.rawValue), expected: "an instruction set: \(isaNames)"),
                             value: "name", help: "Instruction set.", section: .command, changes: .rounding)

    private static let isaNames = InstructionSet.allCases.map(\.rawValue).joined(separator: ", ")

    /// All that are declared above, in that order.
    fileprivate var declared: [any AnySetting] { Mirror(reflecting: self).children.compactMap { $0.value as? any AnySetting } }
}

extension RunConfiguration {
    public static let declarations = RunSettings()

    /// All options of a run by section: those above, then those of behaviours, triggers and defences.
    public static let settings: SettingList = {
        let all = declarations.declared + Triggers.settings + MaliciousBehaviors.settings + AllDefenses.settings
        return SettingList(Section.allCases.flatMap { section in all.filter { $0.section == section } },
                           retired: ["boundEvery": .number("0"), "bound-every": .number("0")])
    }()
}
