import CPlatform
import Glibc

/// HDF5 1.10 frees wild pointers and loops forever on some damaged files. So before this process opens a file, a copy of it
/// does, and reads all that is in it; a file that the copy dies of is refused. What it may take is counted in bytes of work
/// that the file gives reason for (`work_ahead`), so that a good file is good on every processor.
enum FileProbe {
    /// What was tried and good: a file changes its identity when it is replaced or written to.
    private struct Identity: Hashable { var device: UInt, inode: UInt, size: Int, seconds: Int, nanoseconds: Int }
    private nonisolated(unsafe) static var passed: Set<Identity> = []

    private final class Candidate {
        let path: String, trial: (String) -> Void
        init(_ path: String, _ trial: @escaping (String) -> Void) { (self.path, self.trial) = (path, trial) }
    }

    /// Seconds that a copy begins with: a thousand times what opening takes here. A file without an end takes them all.
    private static let firstSeconds: Int32 = 3
    /// Of the file's bytes, one in so many counts as work beforehand.
    private static let structureShare: Int64 = 10

    /// Throws `refused` when `trial`, which reads the file at `path`, kills the copy. To be called inside `Library.locked`.
    static func pass(_ path: String, _ trial: @escaping (String) -> Void) throws(HDF5Error) {
        guard let status = Files.status(path) else { return }  // opening says why
        let identity = Identity(
            device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size),
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        guard !passed.contains(identity) else { return }
        let candidate = Candidate(path, trial)
        let signal = survives(
            { context in
                guard let context else { return }
                Library.isNowAlone()
                let candidate = Unmanaged<Candidate>.fromOpaque(context).takeUnretainedValue()
                work_ahead(Int64((try? regularFileSize(candidate.path)) ?? 0) / FileProbe.structureShare)
                candidate.trial(candidate.path)
            }, Unmanaged.passUnretained(candidate).toOpaque(), firstSeconds)
        withExtendedLifetime(candidate) {}
        guard signal <= 0 else {
            let what = signal == SIGXCPU ? "does not come to an end" : "crashes the HDF5 library (signal \(signal))"
            throw .refused(path: path, object: "/", reason: "reading it \(what): the file is damaged")
        }
        passed.insert(identity)
    }
}
