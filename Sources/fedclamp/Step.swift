import ArgumentParser
import Federation

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
