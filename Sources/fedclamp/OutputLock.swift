import CPlatform
import Glibc
import HDF5
import OwnMethods

/// One process at a time writes an output. A file beside it, NAME.lock, says who; what holds is the kernel's lock on that
/// file (flock), which goes with the process however it ends, so that the file of a dead process stands in nobody's way, nor
/// does that of another user. A file system without locks does without, with a note.
enum OutputLock {
    /// Descriptor and path of every lock of this process.
    private nonisolated(unsafe) static var held: [(descriptor: Int32, path: String)] = []

    /// Locks the output file at `path` and removes what killed processes left half-written beside it.
    /// Throws `Failure.input` naming the process that has it, or why nothing can be written there.
    static func take(file path: String) throws {
        let target = Replacement.target(of: path)
        try take(Files.companion(of: target, ".lock"), output: path)
        let (folder, start) = Files.split(Replacement.temporaryPrefix(of: target))
        removeLeftovers(in: folder) { $0.utf8.starts(with: start.utf8) && Replacement.isTemporary($0) }
        removeFolders(beside: target)
    }

    /// Locks the folder of results at `path`, which must exist; its cells are covered too.
    static func take(folder path: String) throws {
        try take("\(path)/results.lock", output: path)
        for folder in [path, "\(path)/cells"] { removeLeftovers(in: folder, Replacement.isTemporary) }
        removeFolders(beside: "\(path)/results")
    }

    /// Gives all of them back, after own programs were ended. The process's end does too, but leaves the files.
    static func releaseAll() {
        OwnMethods.endAll()
        forget_kept()
        for lock in held {
            Files.unlink(lock.path)  // before the lock goes: whoever waits for it must not find a file that is about to vanish
            close(lock.descriptor)
        }
        held = []
    }

    private static func take(_ lock: String, output: String) throws {
        guard !held.contains(where: { $0.path.utf8.elementsEqual(lock.utf8) }) else { return }
        while true {
            let (descriptor, isOurs) = try open(lock, output)
            let code = lockNow(descriptor)
            guard code != EWOULDBLOCK, code != EACCES else {  // EACCES: as SMB says it
                defer { close(descriptor) }
                throw Failure.input("\(output): in use by \(owner(descriptor)); wait for it to end, or use another --out")
            }
            // Is it still the file of that name? And one of another user's dead process, which cannot carry our name, goes.
            guard code != 0 || isStill(descriptor, lock) else { close(descriptor); continue }
            if code == 0, !isOurs, Files.unlink(lock) { close(descriptor); continue }
            if code != 0 {
                note("fedclamp: \(output): no lock here (\(String(cString: strerror(code)))): do not start a second process on it")
            }
            held.append((descriptor, lock))
            keep_from_copies(descriptor)
            guard isOurs else { return }
            ftruncate(descriptor, 0)
            write(descriptor, "\(said)\(getpid()) on host \(host) since \(now)\n")
            return
        }
    }

    /// Opens the lock's file, made where it is missing: to write, or only to read where it belongs to somebody else. It is
    /// there for every user to lock, whatever the umask: a file that nobody else may open would outlive its process for them.
    private static func open(_ lock: String, _ output: String) throws -> (descriptor: Int32, isOurs: Bool) {
        let descriptor = Files.open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o666)
        if descriptor >= 0 {
            guard isLock(descriptor) else {
                close(descriptor)
                throw Failure.input(
                    "\(lock): is no lock of fedclamp but somebody's file; expected another name for \(output), or none there")
            }
            fchmod(descriptor, 0o666)  // refused for the file of another, who has done it
            return (descriptor, true)
        }
        let code = errno
        if code == EACCES || code == EPERM {
            let reading = Files.open(lock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
            if reading >= 0 { return (reading, false) }
            if Files.exists(lock) {
                throw Failure.input(
                    "\(output): cannot open \(lock), which another user left: remove it if no process of theirs writes here")
            }
        }
        let named = [ELOOP, EISDIR, ENXIO].contains(code) ? lock : output
        throw Failure.input("\(named): cannot write here: \(String(cString: strerror(code)))")
    }

    /// Whether the file holds nothing, or what a process that writes an output says of itself.
    private static func isLock(_ descriptor: Int32) -> Bool {
        var status = stat(), bytes = [UInt8](repeating: 0, count: said.utf8.count)
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return false }
        let count = pread(descriptor, &bytes, bytes.count, 0)
        return count <= 0 || bytes.prefix(count).elementsEqual(said.utf8.prefix(count))
    }

    private static let said = "process "

    /// 0 when the lock is ours now, else why not: EWOULDBLOCK when another process has it, others where it cannot be had.
    private static func lockNow(_ descriptor: Int32) -> Int32 {
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            if errno != EINTR { return errno }
        }
        return 0
    }

    private static func owner(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 400)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let text = HDF5Error.oneLine(String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self))
        return text.isEmpty ? "another process" : text
    }

    private static func isStill(_ descriptor: Int32, _ path: String) -> Bool {
        var mine = stat()
        guard fstat(descriptor, &mine) == 0, let named = Files.status(path) else { return false }
        return mine.st_ino == named.st_ino && mine.st_dev == named.st_dev
    }

    private static var host: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The wall clock, for people only: "2026-11-22 20:15:03 UTC".
    private static var now: String {
        var seconds = time(nil), parts = tm()  // wall clock: shown, never computed with
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return
            "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) UTC"
    }

    /// Of killed processes, what they exchanged with own methods.
    private static func removeFolders(beside output: String) {
        let (folder, start) = Files.split(Files.companion(of: output, OwnMethods.folderMark))
        for name in Files.names(in: folder) where name.utf8.starts(with: start.utf8) && Files.isCompanion(name, OwnMethods.folderMark) {
            OwnMethods.remove(folder: "\(folder)/\(name)")
        }
    }

    private static func removeLeftovers(in folder: String, _ isOne: (String) -> Bool) {
        for name in Files.names(in: folder) where isOne(name) { Files.unlink("\(folder)/\(name)") }
    }
}
