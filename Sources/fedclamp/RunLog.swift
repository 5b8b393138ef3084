import Federation
import Glibc
import HDF5
import Numerics

/// `--log FILE.jsonl`: a line of JSON for each round and each defence on the model as soon as it is finished, for programs that follow a
/// run. A run that is resumed adds its lines to the file.
///
///     {"event": "start", "run": "run.h5", "rounds": 20, "resumed_after": null, "options": {"attack": "fm", ...}}
///     {"event": "round", "round": 1, "loss": 1.2, "acc": 0.61, ..., "seconds": 12.3, ...}
///     {"event": "defence", "name": "bounds", "acc": 0.8, "asr": 0.01, ..., "seconds": 9.1, "passes": 30000}
final class RunLog {
    private let descriptor: Int32, path: String
    private var rounds: Int, defences: Set<String>

    /// Opens the file before any work.
    /// - Throws: `Failure.input` where it cannot be written.
    init(_ path: String, _ run: FederatedRun, _ out: String) throws {
        descriptor = Files.open(path, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, 0o666)
        guard descriptor >= 0 else {
            let why = errno == ENXIO ? "it is a pipe that nobody reads" : String(cString: strerror(errno))
            throw Failure.input("--log \(path): cannot write here: \(why)")
        }
        _ = fcntl(descriptor, F_SETFL, O_APPEND)  // from here on a slow reader is waited for
        Self.dropHalfLine(descriptor, path)
        self.path = path
        rounds = run.history.count
        defences = Set(run.defended.map(\.name))
        let options = run.configuration.readable.map { ($0.name, JSON.plain($0.value)) }
        try write([
            ("event", .text("start")), ("run", .text(out)), ("rounds", .whole(run.configuration.rounds)),
            ("resumed_after", run.finishedRounds.map { .whole($0) } ?? .null), ("options", .object(options)),
        ])
    }

    /// Takes off what stands after the last end of a line: a process that was killed within it, or a full disk.
    private static func dropHalfLine(_ descriptor: Int32, _ path: String) {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 else { return }
        let reading = Files.open(path, O_RDONLY)
        defer { Glibc.close(reading) }
        guard reading >= 0 else { return }
        var end = Int(status.st_size), byte: UInt8 = 0
        while end > 0, pread(reading, &byte, 1, off_t(end - 1)) == 1, byte != UInt8(ascii: "\n") { end -= 1 }
        if end < Int(status.st_size) { ftruncate(descriptor, off_t(end)) }
    }

    deinit { Glibc.close(descriptor) }

    /// Writes what is new.
    func add(_ run: FederatedRun) throws {
        for row in run.history.dropFirst(rounds) {
            try write([("event", .text("round")), ("round", .whole(row.round))] + row.numbers.map { ($0.name, .number($0.value)) })
        }
        rounds = max(rounds, run.history.count)
        for model in run.defended where defences.insert(model.name).inserted {
            let e = model.evaluation
            try write([
                ("event", .text("defence")), ("name", .text(model.name)), ("acc", .number(e.accuracy)), ("asr", .number(e.attackSuccess)),
                ("robust_accuracy", .number(e.robustAccuracy)), ("client_acc", .number(e.clients?.accuracy ?? .nan)),
                ("client_asr", .number(e.clients?.attackSuccess ?? .nan)), ("seconds", .number(model.seconds)),
                ("passes", .number(model.passes)),
            ])
        }
    }

    /// One line in one call, so that a reader never sees half of it.
    private func write(_ members: [(String, JSON)]) throws {
        let bytes = Array((JSON.object(members).line + "\n").utf8)
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, bytes.count) }
        let why = count < 0 ? String(cString: strerror(errno)) : "no room for the whole line (full disk, or a limit of file sizes)"
        guard count == bytes.count else {
            Self.dropHalfLine(descriptor, path)
            throw Failure.input("--log \(path): cannot write: \(why)")
        }
    }
}
