import ArgumentParser
import Attacks
import Datasets
import Experiments
import Federation
import Network

struct Step: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "step",
        abstract: "Do one step of a round on HDF5 files, for other engines (Flower, Slurm, ssh).",
        discussion: Help.folded(
            """
            A round is: each of its clients makes an update of the global checkpoint, the server aggregates the updates, \
            then fuses the aggregate on its FM data, which makes the next global checkpoint. The configuration travels in \
            the files, data stay where they are. The result has the bits of run.

              fedclamp step init --data data/fashion-mnist.h5 --synthetic holdout:2000 --clients 2 --rounds 3 --out g0.h5
              fedclamp step local g0.h5 --client 0 --share --data data/fashion-mnist.h5 --out u0.h5
              fedclamp step local g0.h5 --client 1 --share --data data/fashion-mnist.h5 --out u1.h5
              fedclamp step aggregate g0.h5 u0.h5 u1.h5 --data data/fashion-mnist.h5 --out a1.h5
              fedclamp step fuse a1.h5 --data data/fashion-mnist.h5 --out g1.h5

            and so on to g3.h5; fedclamp step bound fits the bounds where the run has them. --data of the server is needed \
            for holdout:N only; FM data in a file are named with --synthetic.
            """),
        subcommands: [StepInit.self, StepClients.self, StepShare.self, StepLocal.self, StepAggregate.self, StepFuse.self, StepBound.self])
}

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
        if RunData.isPlain(configuration.synthetic) {
            guard let data, synthetic == nil else { throw Failure.input("this run has no FM data: expected --data, its data set") }
            return try ServerData(
                configuration, network, try network.fitting(try DatasetFile.read(data).train, data), [], normalization: normalization)
        }
        if RunData.holdout(ifAny: configuration.synthetic) != nil {
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

/// Where a run stands: for people one line, for engines an object.
struct StepProgress {
    private let state: FederationState

    init(_ state: FederationState) { self.state = state }

    var text: String {
        let finished = state.finishedRounds ?? 0,
            done =
                finished < 0 ? "the clients vouch for the FM labels first" : "round \(finished) of \(state.configuration.rounds) finished"
        if state.boundsAreDue { return "\(done); next: step bound" }
        return state.isFinished ? done : "\(done); clients of the next: \(state.nextClients.map { "\($0)" }.joined(separator: " "))"
    }

    var members: [(String, JSON)] {
        [
            ("finished_rounds", .whole(state.finishedRounds ?? 0)), ("rounds", .whole(state.configuration.rounds)),
            ("finished", .flag(state.isFinished)), ("bound_is_due", .flag(state.boundsAreDue)),
            ("clients", .array(state.isFinished ? [] : state.nextClients.map { .whole($0) })), ("global", .text(state.fingerprint)),
        ]
    }
}

struct StepClients: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clients",
        abstract: "Print the clients of the next round, or nothing when the run is finished.",
        discussion: Help.folded(
            """
              for k in $(fedclamp step clients g0.h5); do fedclamp step local g0.h5 --client $k --data node-$k.h5 --out u$k.h5; done
            """))

    @Argument(help: ArgumentHelp("Global checkpoint, or run file.", valueName: "global.h5"), completion: .file())
    var global: String

    @Flag(help: "The state of the run as one JSON object.")
    var json = false

    func run() throws {
        let state = try GlobalFile.read(global, boundsMayBeDue: true)
        output(
            json
                ? JSON.object(StepProgress(state).members).rendered()
                : state.isFinished ? "" : state.nextClients.map { "\($0)" }.joined(separator: " "))
    }
}
