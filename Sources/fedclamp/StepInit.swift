import ArgumentParser
import Attacks
import Datasets
import Experiments
import Federation
import Network

struct StepInit: Configurable {
    static let required = ["--synthetic=x", "--out=x"]

    static let configuration = CommandConfiguration(
        commandName: "init",
        abstract: "Write the global checkpoint before the first round: configuration, and the model trained on FM data.",
        discussion: Help.folded(
            """
            The options are those of run. Without --data the clients have data of their own, which nobody else sees; the \
            classes are then those that the FM file names.

              fedclamp step init --synthetic data/fashion-mnist-fm.h5 --clients 2 --rounds 3 --defense bounds --out g0.h5
            """))

    @Option(
        help: ArgumentHelp(
            "The whole data set, if the clients' data are shares of it. (default: clients have their own)", valueName: "file.h5"),
        completion: .file())
    var data: String?

    @Option(
        help: ArgumentHelp(
            "FM data: images and labels at the root of a file, holdout:N with --data, or none with --data.",
            valueName: "file.h5|holdout:n|none"), completion: .file())
    var synthetic: String

    @Option(help: ArgumentHelp("Global checkpoint to write.", valueName: "file.h5"), completion: .file())
    var out: String

    @OptionGroup var options: RunOptions

    @Flag(inversion: .prefixedNo, help: "Replace an existing file.")
    var overwrite = false

    @OptionGroup var exec: ExecOptions

    @OptionGroup var machine: MachineOptions

    @Option(help: ArgumentHelp("Read options from a file.", valueName: "file"), completion: .file())
    var config: String?

    @Flag(inversion: .prefixedNo, help: "The state of the run as one JSON object.")
    var json = false

    func run() throws {
        let threads = try machine.threadCount()
        var configuration = try options.configuration()
        (configuration.data, configuration.synthetic) = (data ?? Provenance.unknown, synthetic)
        configuration.adaptToData()
        try configuration.validate()
        try exec.prepare(beside: out)
        try configuration.grantOwnMethods()
        _ = try configuration.makeDefenses()
        try RoundSteps.check(configuration)
        if let n = SyntheticSource.holdout(ifAny: synthetic), n < 1 || data == nil {
            throw Failure.usage("--synthetic \(synthetic): expected a file, or holdout:N with N images from 1 and --data")
        }
        if SyntheticSource.isPlain(synthetic), data == nil {
            throw Failure.usage("--synthetic none: expected --data too, since nothing else says what the images are")
        }
        configuration.isa = try machine.instructionSet().rawValue
        try requireWritable(out, replace: overwrite, inputs: [data, synthetic].compactMap { $0 })
        let (network, server, provenance, mean) = try load(configuration)
        let state = try RoundSteps.initialize(
            configuration, network, server, Server(kernels: configuration.instructionSet.kernels, threads: threads),
            provenance: provenance, meanImages: mean)
        try GlobalFile.write(state, server, to: out)
        output(
            json ? JSON.object(StepProgress(state).members + [("out", .text(out))]).rendered() : "\(StepProgress(state).text)\nwrote \(out)"
        )
    }

    private func load(_ configuration: RunConfiguration) throws -> (ClampNet, ServerData, Provenance, Int?) {
        guard let data else {
            let split = try DatasetFile.readUnnamedSplit(synthetic),
                network = ClampNet(channels: split.set.channels, classes: split.set.classes)
            let provenance = Provenance(
                dataset: Provenance.unknown, datasetDigest: Provenance.unknown, synthetic: synthetic, syntheticDigest: split.digest)
            return (network, try ServerData(configuration, network, split.set), provenance, nil)
        }
        let (dataset, generated) = try loadData(data, synthetic)
        let run = try RunData(configuration, dataset, generated, syntheticName: synthetic)
        return (run.network, run.server, run.provenance, run.meanImages)
    }
}
