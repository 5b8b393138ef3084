import ArgumentParser
import Bounds
import Datasets
import Defenses
import Detection
import Federation

/// The options of a training: with `AttackOptions`, one for each field of `RunConfiguration`, with its defaults.
struct RunOptions: ParsableArguments {
    private static let defaults = RunConfiguration()

    @OptionGroup var attack: AttackOptions

    @Option(name: .customLong("defense"), parsing: .singleValue,
            help: ArgumentHelp("Defence; may be repeated. One of the rules before aggregation (\(AggregationRules.names.joined(separator: ", "))), \(FMScreen.name) (FM images that look poisoned are not used), and any on the model (\(ModelDefenses.names.joined(separator: ", ")); bounds:NAME with one part changed: \(BoundVariants.titles(of: BoundFit.name)); \(PaperBounds.name):NAME with another reading: \(BoundVariants.titles(of: PaperBounds.name))).", valueName: "name"),
            transform: { try Self.defense($0) })
    var defenses: [String] = []

    @Option(help: ArgumentHelp("Clients in all.", valueName: "n"))
    var clients = defaults.clients

    @Option(help: ArgumentHelp("Fraction of the clients in a round.", valueName: "fraction"))
    var participation = defaults.participation

    @Option(help: ArgumentHelp("Rounds.", valueName: "n"))
    var rounds = defaults.rounds

    @Option(help: ArgumentHelp("Epochs of a client's training in a round.", valueName: "n"))
    var localEpochs = defaults.localEpochs

    @Option(help: ArgumentHelp("Images in a step.", valueName: "n"))
    var batch = defaults.batch

    @Option(help: ArgumentHelp("Learning rate of the clients.", valueName: "rate"))
    var lr = defaults.rate

    @Option(help: ArgumentHelp("Momentum of all trainings; starts at zero every round.", valueName: "fraction"))
    var momentum = defaults.momentum

    @Option(help: ArgumentHelp("Weight decay of all trainings.", valueName: "decay"))
    var weightDecay = defaults.weightDecay

    @Option(help: ArgumentHelp("Norm that a batch's gradient is clipped to; 0 for no clipping.", valueName: "norm"))
    var clipNorm = defaults.clipNorm

    @Option(help: ArgumentHelp("How clients share the images: iid, dirichlet:A or shards:K.", valueName: "kind"),
            transform: { try Self.partition($0) })
    var partition = defaults.partition

    @Option(help: ArgumentHelp("Most images a client keeps. (default: all it is dealt)", valueName: "n"))
    var imagesPerClient: Int?

    @Option(help: ArgumentHelp("Most FM images the server keeps. (default: all)", valueName: "n"))
    var syntheticLimit: Int?

    @Option(help: ArgumentHelp("Epochs on the FM data before the first round.", valueName: "n"))
    var initialEpochs = defaults.initialEpochs

    @Option(help: ArgumentHelp("Learning rate of the initialisation.", valueName: "rate"))
    var initialLr = defaults.initialRate

    @Option(help: ArgumentHelp("Epochs of fusion in a round.", valueName: "n"))
    var fusionEpochs = defaults.fusionEpochs

    @Option(help: ArgumentHelp("Learning rate of fusion.", valueName: "rate"))
    var fusionLr = defaults.fusionRate

    @Option(help: ArgumentHelp("Temperature of the distillation in fusion.", valueName: "t"))
    var temperature = defaults.temperature

    @Option(help: ArgumentHelp("Weight of the labels in fusion; the rest is distillation.", valueName: "fraction"))
    var labelWeight = defaults.labelWeight

    @Option(help: ArgumentHelp("Of norm-clip: largest norm of an update.", valueName: "norm"))
    var normClipLimit = defaults.normClipLimit

    @Option(help: ArgumentHelp("Of norm-clip: standard deviation of the noise on the mean update.", valueName: "deviation"))
    var normClipNoise = defaults.normClipNoise

    @Option(help: ArgumentHelp("Of deepsight: random images in each of its three draws; 20000 as published.", valueName: "n"))
    var deepsightImages = defaults.deepsightImages

    @Option(help: ArgumentHelp("Fit the bounds after every Nth fusion and train with them; 0 for never.", valueName: "n"))
    var boundEvery = defaults.boundEvery

    @Option(help: ArgumentHelp("test, or dev: training images that no client gets.", valueName: "split"),
            transform: { try choose($0, "evaluation split", from: EvaluationSplit.allCases.map { ($0.rawValue, $0) }) })
    var evaluateOn = defaults.evaluateOn

    @Option(help: ArgumentHelp("Most images that are measured on. (default: all)", valueName: "n"))
    var evaluationLimit: Int?

    @Option(help: ArgumentHelp("The one seed of all random numbers.", valueName: "n"))
    var seed = defaults.seed

    /// The configuration; the data are named by the caller.
    var configuration: RunConfiguration {
        var c = RunConfiguration()
        attack.apply(to: &c)
        (c.defenses, c.normClipLimit, c.normClipNoise, c.deepsightImages) = (defenses, normClipLimit, normClipNoise, deepsightImages)
        (c.clients, c.participation, c.rounds, c.localEpochs, c.batch) = (clients, participation, rounds, localEpochs, batch)
        (c.rate, c.momentum, c.weightDecay, c.clipNorm, c.partition) = (lr, momentum, weightDecay, clipNorm, partition)
        (c.imagesPerClient, c.syntheticLimit) = (imagesPerClient, syntheticLimit)
        (c.initialEpochs, c.initialRate, c.fusionEpochs, c.fusionRate) = (initialEpochs, initialLr, fusionEpochs, fusionLr)
        (c.temperature, c.labelWeight, c.boundEvery) = (temperature, labelWeight, boundEvery)
        (c.evaluateOn, c.evaluationLimit, c.seed) = (evaluateOn, evaluationLimit, seed)
        return c
    }

    static func defense(_ name: String) throws -> String {
        let isVariant = name.contains(":")
        let names = isVariant ? BoundVariants.all.map(\.name) : AllDefenses.names
        return try choose(name, isVariant ? "variant of a bound fit" : "defence", from: names.map { ($0, $0) })
    }

    static func partition(_ text: String) throws -> Partition {
        do { return try Partition(parsing: text) } catch { throw Failure.usage("\(error)") }
    }
}
