import ArgumentParser
import Attacks
import Datasets
import Experiments
import Federation
import HDF5
import Network
import Numerics

struct StepLocal: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "local",
        abstract: "Train one client from a global checkpoint and write its update.",
        discussion: Help.folded(
            """
            The client's data are all images of FILE (a data set's training images, or images and labels at the root) or, \
            with --share, the client's share of the run's whole data set.

              fedclamp step local g0.h5 --client 1 --data node-1.h5 --out u1.h5
            """))

    @Argument(help: ArgumentHelp("Global checkpoint.", valueName: "global.h5"), completion: .file())
    var global: String

    @Option(help: ArgumentHelp("Which client, from 0.", valueName: "k"))
    var client: Int

    @Option(help: ArgumentHelp("The client's images.", valueName: "file.h5"), completion: .file())
    var data: String

    @Flag(help: "FILE is the run's whole data set: take the client's share of it.")
    var share = false

    @Option(help: ArgumentHelp("Update to write.", valueName: "file.h5"), completion: .file())
    var out: String

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    @OptionGroup var grants: GrantOptions

    @OptionGroup var machine: MachineOptions

    @Flag(help: "Results as one JSON object.")
    var json = false

    func run() throws {
        guard client >= 0 else { throw Failure.usage("--client \(client): expected a number from 0") }
        let threads = try machine.threadCount()
        try grants.prepare(beside: out)
        try requireWritable(out, replace: overwrite, inputs: [global, data])
        let state = try GlobalFile.read(global), isa = try machine.instructionSet(recorded: state.configuration.isa)
        let samples = try samples(state), server = Server(kernels: isa.kernels, threads: threads)
        let result = try RoundSteps.local(state, client, samples, server)
        try UpdateFile.write(result, Sender(client: client, images: samples.count), state, isa: isa, to: out)
        output(
            json
                ? JSON.object([
                    ("client", .whole(client)), ("round", .whole(state.nextRound)), ("images", .whole(samples.count)),
                    ("loss", .number(result.loss)), ("instruction_set", .text(isa.rawValue)), ("out", .text(out)),
                ]).rendered()
                : "client \(client), round \(state.nextRound): \(Numbers.grouped(samples.count)) images, loss \(Numbers.fixed(result.loss, 4))\nwrote \(out)"
        )
    }

    private func samples(_ state: FederationState) throws -> Samples {
        if share {
            let dataset = try DatasetFile.read(data)
            return try ClientData.samples(state, client, dataset.train, try ClientData.share(state, client, dataset))
        }
        guard try HDF5File.open(data).exists("/train/images") else {
            return try ClientData.samples(state, client, try DatasetFile.readUnnamedSplit(data, classes: state.network.classes).set)
        }
        let dataset = try DatasetFile.read(data)
        guard dataset.digest != state.provenance.datasetDigest else {
            throw Failure.input("\(data) is the run's whole data set, not the data of client \(client); --share takes its share")
        }
        return try ClientData.samples(state, client, dataset.train)
    }
}

struct StepShare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "share",
        abstract: "Write one client's share of the run's data set, for a node that has no other data.",
        discussion: Help.folded(
            """
            Images and labels as they are; a malicious client poisons its own when it trains. The bits of run, but for \
            WaNet's noise images, which are drawn by an image's place in the file.

              fedclamp step share g0.h5 --client 1 --data data/fashion-mnist.h5 --out node-1.h5
            """))

    @Argument(help: ArgumentHelp("Global checkpoint.", valueName: "global.h5"), completion: .file())
    var global: String

    @Option(help: ArgumentHelp("Which client, from 0.", valueName: "k"))
    var client: Int

    @Option(help: ArgumentHelp("The run's whole data set.", valueName: "file.h5"), completion: .file())
    var data: String

    @Option(help: ArgumentHelp("File to write.", valueName: "file.h5"), completion: .file())
    var out: String

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    func run() throws {
        guard client >= 0 else { throw Failure.usage("--client \(client): expected a number from 0") }
        try requireWritable(out, replace: overwrite, inputs: [global, data])
        let state = try GlobalFile.read(global, boundsMayBeDue: true), dataset = try DatasetFile.read(data)
        let set = dataset.train.subset(try ClientData.share(state, client, dataset))
        try DatasetFile.write(
            UnnamedSplit(
                set: set, classNames: dataset.classNames,
                source: "share of client \(client) of \(state.configuration.clients): \(dataset.name)"),
            name: "\(dataset.name), client \(client)", to: out)
        output("\(out): \(Numbers.grouped(set.count)) images")
    }
}
