import ArgumentParser
import Datasets
import Federation
import Network

/// The server's FM data, which stay out of the files that travel.
struct ServerOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The run's FM data.", valueName: "file.h5"), completion: .file())
    var synthetic: String?

    @Option(
        help: ArgumentHelp("The run's data set, in place of --synthetic where the FM data are holdout:N or none.", valueName: "file.h5"),
        completion: .file())
    var data: String?

    @OptionGroup var grants: GrantOptions

    @OptionGroup var machine: MachineOptions

    var inputs: [String] { [synthetic, data].compactMap { $0 } }

    /// Throws `Failure.input` for data of another run.
    func load(_ configuration: RunConfiguration, _ network: ClampNet, _ provenance: Provenance, _ normalization: Normalization) throws
        -> ServerData
    {
        let set: ImageSet, held: [Int]?, digest: String, path: String
        if SyntheticSource.isPlain(configuration.synthetic) {
            guard let data, synthetic == nil else { throw Failure.input("this run has no FM data: expected --data, its data set") }
            return try ServerData(
                configuration, network, try network.fitting(try DatasetFile.read(data).train, data), [], normalization: normalization)
        }
        if SyntheticSource.holdout(ifAny: configuration.synthetic) != nil {
            guard let data, synthetic == nil else {
                throw Failure.input(
                    "the FM data of this run are \(configuration.synthetic): expected --data, the data set that they are of")
            }
            let dataset = try DatasetFile.read(data)
            (set, path, digest) = (dataset.train, data, RunData.holdoutDigest(configuration, dataset))
            held = digest == provenance.syntheticDigest ? try Withheld(configuration, dataset.train, holdsOut: true).held : nil
        } else {
            guard let synthetic, data == nil else { throw Failure.input("the FM data of this run are a file: expected --synthetic") }
            let split = try DatasetFile.readUnnamedSplit(synthetic, classes: network.classes)
            (set, path, digest, held) = (split.set, synthetic, split.digest, nil)
        }
        guard digest == provenance.syntheticDigest else {
            throw Failure.input(
                "\(path) does not hold the FM data of this run: its digest is \(digest), that of the run \(provenance.syntheticDigest)")
        }
        return try ServerData(configuration, network, try network.fitting(set, path), held)
    }

    func load(_ state: FederationState) throws -> ServerData {
        try load(state.configuration, state.network, state.provenance, state.normalization)
    }

    /// The run's instruction set, unless another is asked for.
    func server(_ state: FederationState) throws -> Server { try machine.server(state) }
}

extension MachineOptions {
    /// What trains with the run's instruction set, unless another is asked for.
    func server(_ state: FederationState) throws -> Server {
        let threads = try threadCount()
        return Server(kernels: try instructionSet(recorded: state.configuration.isa).kernels, threads: threads)
    }
}
