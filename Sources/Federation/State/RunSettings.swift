import Attacks
import Datasets
import Defenses
import Network
import Options
import OwnMethods

/// The options of a run: each is declared here, or in the file of the rule, defence, trigger or malicious behaviour
/// that it belongs to. Adding one is adding a line.
public struct RunSettings: Sendable {
    // What is attacked, and how.
    public let attack = Setting(
        "attack", .attack, default: Attack.none, value: "name",
        help: "The attack: none, malicious clients (classic), poisoned FM data (fm), or both.")
    public let trigger = Setting(
        "trigger", .attack, default: "patch",
        in: .oneOf(Triggers.choices, expected: Triggers.expected) { OwnMethod.isName($0, of: [.trigger]) }, value: "name",
        help: "The trigger: a name, your own picture (.png with alpha, .h5 with mask and pattern) or program.",
        changes: .training(.attackOrFloor))
    public let target = Setting<Targets>(
        "target", .attack, default: 0, in: .targets, value: "class",
        help: "Class that the backdoor leads to, or several (0,3,7), each with its own form of the trigger: \(Triggers.ofSeveralTargets).",
        changes: .training(.attackOrFloor))
    public let allToAll = Setting(
        "all-to-all", .attack, default: false,
        help: "Poisoned images get the class after their own instead of the target.",
        changes: .training(.attackOrFloor))
    public let malicious = Setting(
        "malicious", .attack, default: 2, in: .count(from: 0), value: "n",
        help: "Number of malicious clients, the first of all. Rules assume the same number.")
    public let poisonFraction = Setting(
        "poison-fraction", .attack, default: 0.5, in: .fraction, value: "fraction",
        help: "Poisoned fraction of a malicious client's images.", changes: .training(.clientsAttack))
    public let fmPoisonFraction = Setting(
        "fm-poison-fraction", .attack, default: 0.2, in: .fraction, value: "fraction",
        help: "Poisoned fraction of the FM data.", changes: .training(.syntheticAttack))
    public let fmPoisonDraw = Setting(
        "fm-poison-draw", .attack, default: PoisonDraw.all, value: "kind",
        help: "Which FM images are poisoned: drawn from all classes, or the same fraction of each class but the target.",
        changes: .training(.syntheticAttack))
    public let fmPoisonStage = Setting(
        "fm-poison-stage", .attack, default: PoisonStage.both, value: "stage",
        help: "Where the FM data are poisoned: in the initialisation, in fusion, or in both.",
        changes: .training(.syntheticAttack))
    public let coverFraction = Setting<Double?>(
        "cover-fraction", .attack, default: nil, in: .fraction, value: "fraction",
        help: "Fraction of a poisoned set that carries the trigger and keeps its true label, in addition to the poisoned images.",
        changes: .training(.attacked))

    public let poisonLabel = Setting<PoisonLabel?>(
        "poison-label", .attack, default: nil, in: .oneOf(["target", "clean"]), unset: "target", value: "kind",
        help: "Labels of poisoned images: the target's, or clean: the target class's images alone are poisoned, and keep their labels.",
        changes: .training(.attacked))

    public let maliciousEpochs = Setting<Int?>(
        "malicious-epochs", .malicious, default: nil, in: .count(from: 1), unset: "as local-epochs", value: "n",
        help: "Epochs of malicious clients.", changes: .training(.clientsAttack))
    public let maliciousRate = Setting<Double?>(
        "malicious-lr", .malicious, default: nil, in: .positive, unset: "as lr", value: "rate",
        help: "Learning rate of malicious clients.", formerly: ["maliciousRate"], changes: .training(.clientsAttack))

    public let defenses = Setting<[String]>(
        "defense", .defense, default: [],
        in: .oneOf(AllDefenses.namesWithVariants, expected: AllDefenses.expected) {
            OwnMethod.isName($0, of: AllDefenses.ownKinds) || AllDefenses.former[$0] != nil
        },
        value: "name",
        help: AllDefenses.help, formerly: ["defenses"], changes: .partly, part: { AllDefenses.shapingTraining($0) })

    // Clients and rounds.
    public let clients = Setting(
        "clients", .training, default: 10, in: .count(from: 1), value: "n", help: "Clients in all.")
    public let heads = Setting<ClientHeads?>(
        "heads", .training, default: nil, value: "list|drawn",
        help:
            "Heads of the clients' networks: a list that clients take in turn (1x128,2x192), or drawn: each client draws 1 to 3 pairs of dense "
            + "layer and ReLU of width 128, 192 or 256. Clients of one shape average their models, all teach all.")
    public let participation = Setting(
        "participation", .training, default: 1.0, in: .fractionAboveZero, value: "fraction",
        help: "Fraction of the clients in a round.")
    public let rounds = Setting(
        "rounds", .training, default: 20, in: .count(from: 1), value: "n", help: "Rounds; a run that is resumed may get more.",
        changes: .length)
    public let localEpochs = Setting(
        "local-epochs", .training, default: 1, in: .count(from: 1), value: "n",
        help: "Epochs of a client's training in a round.")
    public let batch = Setting(
        "batch", .training, default: 64, in: .count(from: 1), value: "n", help: "Images in a step.")
    public let rate = Setting(
        "lr", .training, default: 0.02, in: .positive, value: "rate",
        help: "Learning rate of the clients.", formerly: ["rate"])
    public let momentum = Setting(
        "momentum", .training, default: 0.9, in: .fractionBelowOne, value: "fraction",
        help: "Momentum of all trainings; starts at zero every round.")
    public let weightDecay = Setting(
        "weight-decay", .training, default: 5e-4, in: .notNegative, value: "decay",
        help: "Weight decay of all trainings.")
    /// Without it the first steps from He-normal weights at 0.02 now and then end in a dead network.
    public let clipNorm = Setting(
        "clip-norm", .training, default: 5.0, in: .notNegative, value: "norm",
        help: "Norm that a batch's gradient is clipped to; 0 for no clipping.")
    public let partition = Setting(
        "partition", .training, default: Partition.iid, value: "kind",
        help: "How clients share the images: iid, dirichlet:A, shards:K, or natural: the data set's own clients.")
    public let imagesPerClient = Setting<Int?>(
        "images-per-client", .training, default: nil, in: .count(from: 1), unset: "all", value: "n",
        help: "Largest number of images of a client.")

    // The server's own trainings.
    public let syntheticLimit = Setting<Int?>(
        "synthetic-limit", .server, default: nil, in: .count(from: 1), unset: "all", value: "n",
        help: "Largest number of FM images.")
    public let labelNoise = Setting<Double?>(
        "fm-label-noise", .server, default: nil, in: .fraction, unset: "none", value: "fraction",
        help: "Fraction of the FM images that get another class's label: a generator that errs, without any attack.")
    public let imbalance = Setting<Double?>(
        "fm-imbalance", .server, default: nil, in: .number(Interval(1, .infinity)), unset: "as they are", value: "ratio",
        help: "How many times as many FM images the first class has as the last; those between fall geometrically.")
    public let initialEpochs = Setting(
        "initial-epochs", .server, default: 5, in: .count(from: 0), value: "n",
        help: "Epochs on the FM data before the first round.")
    public let initialRate = Setting(
        "initial-lr", .server, default: 0.02, in: .positive, value: "rate",
        help: "Learning rate of the initialisation.", formerly: ["initialRate"])
    public let fusionEpochs = Setting(
        "fusion-epochs", .server, default: 1, in: .count(from: 0), value: "n", help: "Epochs of fusion in a round.")
    public let fusionRate = Setting(
        "fusion-lr", .server, default: 0.01, in: .positive, value: "rate",
        help: "Learning rate of fusion.", formerly: ["fusionRate"])
    public let temperature = Setting(
        "temperature", .server, default: 1.0, in: .positive, value: "t",
        help: "Temperature of the distillation in fusion.")
    public let labelWeight = Setting(
        "label-weight", .server, default: 0.5, in: .fraction, value: "fraction",
        help: "Weight of the labels in fusion; the rest is distillation.")

    public let evaluateOn = Setting(
        "evaluate-on", .evaluation, default: EvaluationSplit.test, value: "split",
        help: "Images to measure on; dev: training images that no client gets.")
    public let evaluationLimit = Setting<Int?>(
        "evaluation-limit", .evaluation, default: nil, in: .count(from: 1), unset: "all", value: "n",
        help: "Largest number of images to measure on.")
    public let evaluateEvery = Setting(
        "evaluate-every", .evaluation, default: 1, in: .count(from: 1), value: "n",
        help: "Measure the global model after every n-th round, and after the last.", changes: .nothing)
    public let evaluateClients = Setting(
        "evaluate-clients", .evaluation, default: false,
        help: "Also measure the clients' own models, each on a local test set with the client's class shares.")
    public let localTestImages = Setting(
        "local-test-images", .evaluation, default: 1_000, in: .count(from: 1), value: "n",
        help: "Most images of a client's local test set, and most triggered ones.")
    public let seed = Setting<UInt64>(
        "seed", .evaluation, default: 1, value: "n", help: "Seed of all random numbers.")

    // What each command names in its own way.
    public let data = Setting(
        "data", .command, default: "", value: "file.h5", help: "Data set.", changes: .nothing)
    public let synthetic = Setting(
        "synthetic", .command, default: "", value: "file.h5|holdout:n|none",
        help: "FM data: a file, holdout:N for N training images that no client gets, or none: plain federated learning.",
        changes: .partly, part: { SyntheticSource.holdout(ifAny: $0) == nil ? "" : $0 })
    public let isa = Setting(
        "isa", .command, default: InstructionSet.best.rawValue,
        in: .oneOf(isaNames, expected: "an instruction set: \(isaNames.joined(separator: ", "))"), value: "name",
        help: "Instruction set.", changes: .rounding)

    private static let isaNames = InstructionSet.allCases.map(\.rawValue)

    /// All that are declared above, in that order.
    var declared: [any AnySetting] {
        Mirror(reflecting: self).children.compactMap { $0.value as? any AnySetting }
    }
}
