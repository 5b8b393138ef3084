import ArgumentParser
import Experiments
import Federation
import Glibc
import HDF5
import Numerics

struct Watch: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Follow a run in another process: its rounds and defences as they are saved.",
        discussion: Help.folded(
            """
            Reads the run file again whenever it is replaced, prints what is new, and ends when the run is finished. It writes \
            nothing and may be started and stopped at any time.

              fedclamp watch run.h5
              fedclamp watch run.h5 --once
            """))

    @Argument(help: ArgumentHelp("Run file.", valueName: "run.h5"), completion: .file())
    var file: String

    @Flag(help: "Print what there is and end.")
    var once = false

    /// Seconds between two looks.
    private static let pause: UInt32 = 1

    func run() throws {
        var printed = (rounds: 0, defences: Set<String>()), seen: Identity?
        if !once, !exists(file) { note("\(file): waiting until there is such a file; Ctrl-C ends") }
        while true {
            let now = Identity(file)
            if now == nil, once || seen != nil { throw Failure.input("\(file): there is no such file") }
            if let now, now != seen {
                seen = now
                let checkpoint = try Checkpoint(reading: file)
                guard let configuration = checkpoint.configuration else {
                    throw Failure.input("\(file): expected a run file, got a checkpoint without the configuration of a run")
                }
                show(checkpoint, configuration, &printed)
                if Self.isFinished(checkpoint, configuration) { return }
            }
            if once { return }
            sleep(Self.pause)
        }
    }

    private func show(_ checkpoint: Checkpoint, _ configuration: RunConfiguration, _ printed: inout (rounds: Int, defences: Set<String>)) {
        for row in checkpoint.history.dropFirst(printed.rounds) {
            let name = row.round == 0 ? "initialisation" : "round \(row.round)/\(configuration.rounds)"
            let loss = row.loss.isNaN ? "" : "loss \(Numbers.fixed(row.loss, 4))"
            output([name, Progress.reading(row), loss, Numbers.duration(row.seconds)].filter { !$0.isEmpty }.joined(separator: "  "))
        }
        printed.rounds = max(printed.rounds, checkpoint.history.count)
        for model in checkpoint.defended where printed.defences.insert(model.name).inserted {
            output("defence \(model.name)  ACC \(Numbers.fixed(model.accuracy, 3))  ASR \(Numbers.fixed(model.attackSuccess, 3))")
        }
    }

    /// All rounds, and all defences on the model that the run was asked for.
    private static func isFinished(_ checkpoint: Checkpoint, _ configuration: RunConfiguration) -> Bool {
        let wanted = (try? FederatedRun.defenses(configuration).1.map(\.label)) ?? []
        return checkpoint.history.last?.round == configuration.rounds
            && wanted.allSatisfy { name in checkpoint.defended.contains { $0.name == name } }
    }
}

/// What changes when a file is replaced.
private struct Identity: Equatable {
    var inode: UInt, seconds: Int, nanoseconds: Int

    init?(_ path: String) {
        guard let status = Files.status(path) else { return nil }
        (inode, seconds, nanoseconds) = (UInt(status.st_ino), status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
}
