import CStart
import Glibc
import HDF5

/// One process at a time writes an output. A file beside it, NAME.lock, says who; what holds is the kernel's lock on that
/// file (flock), which goes with the process however it ends, so that the file of a dead process stands in nobody's way.
enum OutputLock {
    /// Descriptor and path of every lock of this process.
    private nonisolated(unsafe) static var held: [(descriptor: Int32, path: String)] = []

    /// Locks the output file at `path` and removes what killed processes left half-written beside it.
    /// Throws `Failure.input` naming the process that has it, or why nothing can be written there.
    static func take(file path: String) throws {
        let target = Replacement.target(of: path)
        try take("\(target).lock", output: path)
        let (folder, name) = split(target)
        removeLeftovers(in: folder) { $0.hasPrefix("\(name).partial-") }
    }

    /// Locks the folder of results at `path`, which must exist; its cells are covered too.
    static func take(folder path: String) throws {
        try take("\(path)/results.lock", output: path)
        for folder in [path, "\(path)/cells"] { removeLeftovers(in: folder) { $0.firstRange(of: ".partial-") != nil } }
    }

    /// Gives all of them back. The process's end does too, but leaves the files.
    static func releaseAll() {
        forget_kept()
        for lock in held {
            unlink(lock.path)           // before the lock goes: whoever waits for it must not find a file that is about to vanish
            close(lock.descriptor)
        }
        held = []
    }

    private static func take(_ lock: String, output: String) throws {
        guard !held.contains(where: { $0.path == lock }) else { return }
        while true {
            let descriptor = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
            guard descriptor >= 0 else { throw Failure.input("\(output): cannot write here: \(String(cString: strerror(errno)))") }
            let free = flock(descriptor, LOCK_EX | LOCK_NB) == 0, code = errno
            guard free || code != EWOULDBLOCK else {
                defer { close(descriptor) }
                throw Failure.input("\(output): in use by \(owner(descriptor)); wait for it to end, or use another --out")
            }
            // A file system without locks (ENOLCK, ENOTSUP, ...) does without. Otherwise: is it still the file of that name?
            guard !free || isStill(descriptor, lock) else { close(descriptor); continue }
            held.append((descriptor, lock))
            keep_from_copies(descriptor)
            ftruncate(descriptor, 0)
            write(descriptor, "process \(getpid()) on host \(host) since \(now)\n")
            return
        }
    }

    private static func owner(_ descriptor: Int32) -> String {
        var bytes = [UInt8](repeating: 0, count: 400)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        let text = HDF5Error.oneLine(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self).split(separator: "\n").first.map(String.init) ?? "")
        return text.isEmpty ? "another process" : text
    }

    private static func isStill(_ descriptor: Int32, _ path: String) -> Bool {
        var mine = stat(), named = stat()
        return fstat(descriptor, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino && mine.st_dev == named.st_dev
    }

    private static var host: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The wall clock, for people only: "2026-11-22 20:15:03 UTC".
    private static var now: String {
        var seconds = time(nil), parts = tm()       // wall clock: shown, never computed with
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) \(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) UTC"
    }

    private static func split(_ path: String) -> (folder: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return (".", path) }
        return (slash == path.startIndex ? "/" : String(path[..<slash]), String(path[path.index(after: slash)...]))
    }

    private static func removeLeftovers(in folder: String, _ isOne: (String) -> Bool) {
        guard let entries = opendir(folder) else { return }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if isOne(name) { unlink("\(folder)/\(name)") }
        }
    }
}
