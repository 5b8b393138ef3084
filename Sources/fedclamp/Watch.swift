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
            Reads the run file again whenever it is replaced, prints what is new, and ends when the run is finished. Where another \
            run takes the file's place (run --overwrite), it says so and begins anew. It writes nothing and may be started and stopped \
            at any time.

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
        var printed = Printed(), seen: Identity?
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

    private func show(_ checkpoint: Checkpoint, _ configuration: RunConfiguration, _ printed: inout Printed) {
        if !printed.isBeginning(of: checkpoint.history) {
            note("\(file): another run took its place")
            printed = Printed()
        }
        for row in checkpoint.history.dropFirst(printed.rows.count) {
            let name = row.round == 0 ? "initialisation" : "round \(row.round)/\(configuration.rounds)"
            let loss = row.loss.isNaN ? "" : "loss \(Numbers.fixed(row.loss, 4))"
            output([name, Progress.reading(row), loss, Numbers.duration(row.seconds)].filter { !$0.isEmpty }.joined(separator: "  "))
            printed.rows.append(Printed.Row(row))
        }
        printed.defences.formIntersection(checkpoint.defended.map(\.name))  // a run that got more rounds does them again
        for model in checkpoint.defended where printed.defences.insert(model.name).inserted {
            output("defence \(model.name)  ACC \(Numbers.fixed(model.accuracy, 3))  ASR \(Numbers.fixed(model.attackSuccess, 3))")
        }
    }

    /// All rounds, and all defences on the model that the run was asked for.
    private static func isFinished(_ checkpoint: Checkpoint, _ configuration: RunConfiguration) -> Bool {
        let wanted = (try? configuration.makeDefenses().1.map(\.label)) ?? []
        return checkpoint.history.last?.round == configuration.rounds
            && wanted.allSatisfy { name in checkpoint.defended.contains { $0.name == name } }
    }
}

/// What was printed of a run.
private struct Printed {
    /// What tells a round from that of another run: no two take the same time.
    struct Row: Equatable {
        var loss: UInt64, accuracy: UInt64, seconds: UInt64

        init(_ row: HistoryRow) {
            (loss, accuracy, seconds) = (row.loss.bitPattern, row.accuracy.bitPattern, row.seconds.bitPattern)
        }
    }

    var rows: [Row] = [], defences: Set<String> = []

    func isBeginning(of history: [HistoryRow]) -> Bool { history.prefix(rows.count).map(Row.init) == rows }
}

/// What changes when a file is replaced.
private struct Identity: Equatable {
    var inode: UInt, seconds: Int, nanoseconds: Int

    init?(_ path: String) {
        guard let status = Files.status(path) else { return nil }
        (inode, seconds, nanoseconds) = (UInt(status.st_ino), status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
    }
}
