import Glibc

/// A file about to be replaced as one step: a temporary name in the same folder, then fsync, rename, fsync of the folder.
public struct Replacement {
    /// The name that errors carry.
    private let path: String
    /// Where the file goes: `path` with symbolic links followed, so that a link stays a link.
    private let target: String
    /// A companion of the file, ".partial-" and numbers of this process; what a killed one leaves is removed by whoever writes `path` next.
    public let temporary: String

    /// Where a file written at `path` goes: symbolic links are followed, so that a link stays a link.
    public static func target(of path: String) -> String { Files.resolved(path) }

    /// What the name of every temporary file for `target` begins with, its folder included.
    public static func temporaryPrefix(of target: String) -> String { Files.companion(of: target, ".partial-") }

    /// Whether a file's name is that of a temporary file, whose ever: NAME.partial-PROCESS-RANDOM.
    public static func isTemporary(_ name: String) -> Bool { Files.isCompanion(name, ".partial-") }

    /// Throws when `path` exists and is no regular file (renaming over /dev/null would replace the device).
    public init(_ path: String) throws(HDF5Error) {
        self.path = path
        target = Self.target(of: path)
        if Files.exists(path) { _ = try regularFileSize(path) }
        // In containers process numbers are always the same, and folders are shared by machines: a random part too.
        temporary = Self.temporaryPrefix(of: target) + "\(getpid())-\(String(UInt32.random(in: 0...UInt32.max), radix: 16))"
    }

    /// Syncs the finished temporary file and gives it its name.
    public func commit() throws(HDF5Error) {
        try sync(temporary)
        keepOwner()
        guard Files.rename(temporary, to: target) else { throw .system(path: path, operation: "rename into place", code: errno) }
        try sync(Files.split(target).folder)
    }

    /// Mode and owner of the file that is replaced, as far as this user may give them.
    private func keepOwner() {
        guard let old = Files.status(target), let new = Files.status(temporary) else { return }
        Files.withBytes(temporary) { name in
            if old.st_uid != new.st_uid || old.st_gid != new.st_gid { _ = chown(name, old.st_uid, old.st_gid) }
            if old.st_mode != new.st_mode { _ = chmod(name, old.st_mode & 0o7777) }
        }
    }

    /// Makes the temporary file and removes it: what would keep `commit` from coming as far as that is known before the work. A file that
    /// is mounted by itself, as containers have them, or immutable cannot be replaced by another.
    public static func probe(_ path: String) throws(HDF5Error) {
        let replacement = try Replacement(path)
        if Files.exists(replacement.target) {
            let descriptor = Files.open(replacement.target, O_WRONLY), code = errno
            if descriptor >= 0 { Glibc.close(descriptor) }
            guard descriptor >= 0 || ![EPERM, EROFS].contains(code) else { throw .system(path: path, operation: "replace", code: code) }
            guard !Files.isMounted(replacement.target) else {
                throw .refused(
                    path: path, object: "/",
                    reason: "it is mounted by itself and cannot be replaced; mount its folder, or choose another file")
            }
        }
        defer { replacement.discard() }
        try replacement.fill([])
    }

    /// Replaces the file at `path` by `bytes` as one step.
    public static func write(_ bytes: [UInt8], to path: String) throws(HDF5Error) {
        let replacement = try Replacement(path)
        do {
            try replacement.fill(bytes)
            try replacement.commit()
        } catch {
            replacement.discard()
            throw error
        }
    }

    private func fill(_ bytes: [UInt8]) throws(HDF5Error) {
        let descriptor = Files.open(temporary, O_WRONLY | O_CREAT | O_EXCL, 0o666)
        guard descriptor >= 0 else { throw .system(path: path, operation: "write", code: errno) }
        defer { Glibc.close(descriptor) }
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, bytes.count - done) }
            guard count >= 0 || errno == EINTR else { throw .system(path: path, operation: "write", code: errno) }
            done += max(0, count)
        }
    }

    public func discard() { Files.unlink(temporary) }

    /// Syncs the folder `path`, so that names made in it outlive a power failure.
    public static func syncFolder(_ path: String) throws(HDF5Error) { try Replacement(syncing: path).sync(path) }

    private init(syncing path: String) { (self.path, target, temporary) = (path, path, path) }

    /// What file systems answer that cannot sync a file or a folder, or let this user do it (network shares, FUSE, memory;
    /// folders that may be written but not read). They keep what they keep: the file is in place. All else is a failure, such
    /// as EIO, ENOSPC and EDQUOT.
    private static let cannotSync: Set<Int32> = [EINVAL, ENOTSUP, ENOSYS, EACCES, EPERM, EROFS, EBADF, EISDIR, ENOTTY]

    private func sync(_ name: String) throws(HDF5Error) {
        let descriptor = Files.open(name, O_RDONLY)
        var failed = descriptor < 0
        if descriptor >= 0 {
            repeat { failed = fsync(descriptor) != 0 } while failed && errno == EINTR
        }
        let code = errno
        if descriptor >= 0 { Glibc.close(descriptor) }
        guard !failed || Self.cannotSync.contains(code) else { throw .system(path: path, operation: "sync to the disk", code: code) }
    }
}
