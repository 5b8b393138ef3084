import Glibc
import HDF5

/// A program that runs beside this one, spoken to in lines over its standard input and output; what it writes to its
/// standard error is kept, the last of it, for errors. It is in a process group of its own: Ctrl-C is for us, and whoever
/// ends it ends what it has started, too. Used by one thread at a time.
final class ChildProcess {
    private let process: pid_t
    private let input: Int32, output: Int32, errors: Int32
    private var received: [UInt8] = [], said: [UInt8] = []
    private var isOver = false
    private let log: Int32?

    /// Bytes of one line, and of the standard error that are kept.
    private static let longestLine = 1 << 20, keptOfErrors = 4096

    enum Silence: Error {
        /// It ended: how.
        case ended(String)
        case tooLong
        case longLine
    }

    /// - Parameter arguments: the program first, found on the PATH where it has no slash.
    /// - Parameter log: a descriptor that gets all of its standard error too.
    /// - Throws: `HDF5Error.system` saying why it does not start.
    init(_ arguments: [String], environment: [String], log: Int32?) throws(HDF5Error) {
        let path = arguments.first ?? ""
        let (theirInput, ourInput) = try Self.pipe(path), (ourOutput, theirOutput) = try Self.pipe(path)
        let (ourErrors, theirErrors) = try Self.pipe(path)
        let spawned = Self.spawn(arguments, environment, [theirInput, theirOutput, theirErrors])
        for descriptor in [theirInput, theirOutput, theirErrors] { close(descriptor) }
        (input, output, errors, self.log) = (ourInput, ourOutput, ourErrors, log)
        process = spawned.process
        guard spawned.code == 0 else {
            for descriptor in [input, output, errors] { close(descriptor) }
            throw .system(path: path, operation: "start", code: spawned.code)
        }
        Groups.add(process)
    }

    /// Both ends above the standard descriptors, which may be closed in this process, and closed in every other child.
    private static func pipe(_ path: String) throws(HDF5Error) -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw .system(path: path, operation: "start", code: errno) }
        let high = ends.map { fcntl($0, F_DUPFD_CLOEXEC, 3) }
        ends.forEach { close($0) }
        guard high.allSatisfy({ $0 >= 0 }) else { throw .system(path: path, operation: "start", code: errno) }
        return (high[0], high[1])
    }

    private static func spawn(
        _ arguments: [String], _ environment: [String],
        _ ends: [Int32]
    ) -> (process: pid_t, code: Int32) {
        var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
        var signals = sigset_t(), process: pid_t = 0
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (number, end) in ends.enumerated() { posix_spawn_file_actions_adddup2(&actions, end, Int32(number)) }
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        posix_spawnattr_setflags(&attributes, Int16(flags))
        posix_spawnattr_setpgroup(&attributes, 0)
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)  // what this process ignores, a closed pipe above all, ends it
        posix_spawnattr_setsigdefault(&attributes, &signals)
        let code = withPointers(arguments) { arguments in
            withPointers(environment) { environment in
                posix_spawnp(&process, arguments[0] ?? strdup(""), &actions, &attributes, arguments, environment)
            }
        }
        return (process, code)
    }

    private typealias CStrings = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    private static func withPointers<R>(_ texts: [String], _ body: (CStrings) -> R) -> R {
        var pointers = texts.map { text in Files.withBytes(text) { strdup($0) } } + [nil]
        defer { pointers.forEach { free($0) } }
        return pointers.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("an array with an end has an address") }
            return body(base)
        }
    }

    /// The environment of this process as texts "NAME=VALUE".
    static var environment: [String] {
        var texts: [String] = [], next = environ
        while let text = next.pointee {
            texts.append(Files.path(text))
            next += 1
        }
        return texts
    }

    /// Writes a line and waits for one, at most until `deadline` (seconds of the monotonic clock).
    func answer(to line: String, before deadline: Double) throws(Silence) -> String {
        var text = line + "\n"
        let sent = text.withUTF8 { bytes in Self.writeAll(input, UnsafeRawBufferPointer(bytes)) }
        guard sent else { throw .ended(end(after: 1)) }
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            guard received.count <= Self.longestLine else { throw .longLine }
            let left = deadline - Self.now
            guard left > 0 else { throw .tooLong }
            guard wait(left) else { throw .ended(end(after: 1)) }
        }
    }

    /// Seconds between looks at whether it has ended: what it started may hold its standard output open.
    private static let look = 0.5

    /// Waits for something to read, and reads it. False when it has ended, or its standard output has.
    private func wait(_ seconds: Double) -> Bool {
        var ends = [output, errors].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&ends, 2, Int32(min(seconds, Self.look) * 1000 + 1)) > 0 else { return !hasEnded }
        if ends[1].revents != 0 { readErrors() }
        guard ends[0].revents != 0 else { return true }
        return Self.read(output) { received += $0 } > 0
    }

    private func readErrors() {
        let count = Self.read(errors) { bytes in
            if let log { _ = bytes.withUnsafeBytes { Self.writeAll(log, $0) } }
            said = Array((said + bytes).suffix(Self.keptOfErrors))
        }
        if count == 0 { usleep(1000) }  // its end: what else there is to wait for comes soon
    }

    /// Bytes read; 0 at the end.
    private static func read(_ descriptor: Int32, _ take: (ArraySlice<UInt8>) -> Void) -> Int {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count > 0 { take(buffer[..<count]) }
            return max(0, count)
        }
    }

    private static func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        var done = 0
        while done < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + done }, bytes.count - done)
            guard count >= 0 || errno == EINTR else { return false }
            done += max(0, count)
        }
        return true
    }

    /// The last line that it wrote to its standard error, as far as that is not too long.
    var lastWords: String {
        let lines = String(decoding: said, as: UTF8.self).split(whereSeparator: \.isNewline)
        return String((lines.last { $0.contains { !$0.isWhitespace } } ?? "").prefix(300))
    }

    /// Closes its standard input, which asks it to end, waits so long, and kills it and all of its group then. Says how
    /// it ended.
    @discardableResult
    func end(after seconds: Double) -> String {
        guard !isOver else { return "ended" }
        isOver = true
        close(input)
        var status: Int32 = 0, deadline = Self.now + seconds, killed = false
        while !hasEnded {
            if Self.now >= deadline, !killed {
                kill(-process, SIGKILL)
                (killed, deadline) = (true, .infinity)
            }
            drainErrors(1)
        }
        drainErrors(0)
        kill(-process, SIGKILL)  // what it left in its group, whose number is its own until it is reaped
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        Groups.remove(process)
        close(output)
        close(errors)
        if killed { return "did not end by itself" }
        let signal = status & 0x7f
        return signal == 0 ? Self.ended + "\((status >> 8) & 0xff)" : "died of signal \(signal)"
    }

    private static let ended = "ended with exit code "
    /// How a program ends that has nothing more to do.
    static let endedWell = ended + "0"

    /// Whether the process has come to its end; it is not reaped yet.
    private var hasEnded: Bool {
        var information = siginfo_t()
        return waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT | WNOHANG) != 0 || information.si_signo != 0
    }

    /// Reads what there is of its standard error, for at most so many milliseconds.
    private func drainErrors(_ milliseconds: Int32) {
        var end = pollfd(fd: errors, events: Int16(POLLIN), revents: 0)
        if poll(&end, 1, milliseconds) > 0, end.revents & Int16(POLLIN) != 0 {
            readErrors()
        } else if milliseconds > 0 {
            usleep(1000)
        }
    }

    static var now: Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}

/// The process groups that were started and not yet ended, where a signal handler can read them.
enum Groups {
    /// More than one run has.
    private static let most = 64
    nonisolated(unsafe) private static let slots: UnsafeMutablePointer<pid_t> = {
        let slots = UnsafeMutablePointer<pid_t>.allocate(capacity: most)
        slots.initialize(repeating: 0, count: most)
        return slots
    }()

    static func add(_ process: pid_t) { replace(0, by: process) }
    static func remove(_ process: pid_t) { replace(process, by: 0) }

    private static func replace(_ old: pid_t, by new: pid_t) {
        if let free = (0..<most).first(where: { slots[$0] == old }) { slots[free] = new }
    }

    /// Makes the memory, which a signal handler must not do.
    static func prepare() { _ = slots }

    /// For a signal handler: ends all at once.
    static func killAll() {
        for at in 0..<most where slots[at] > 0 { kill(-slots[at], SIGKILL) }
    }
}
