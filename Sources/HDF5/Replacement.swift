import Glibc

/// A file about to be replaced as one step: a temporary name in the same folder, then fsync, rename, fsync of the folder.
struct Replacement {
    /// The name that errors carry.
    private let path: String
    /// Where the file goes: `path` with symbolic links followed, so that a link stays a link.
    private let target: String
    let temporary: String

    /// Throws when `path` exists and is no regular file (renaming over /dev/null would replace the device).
    init(_ path: String) throws(HDF5Error) {
        self.path = path
        if let resolved = realpath(path, nil) {
            target = String(cString: resolved)
            free(resolved)
            _ = try regularFileSize(path)
        } else {
            target = path
        }
        temporary = "\(target).partial-\(getpid())"
        unlink(temporary)       // left by a killed process that had our number; in containers that is always the same
    }

    /// Syncs the finished temporary file and gives it its name.
    func commit() throws(HDF5Error) {
        try sync(temporary)
        guard rename(temporary, target) == 0 else { throw .system(path: path, operation: "rename into place", code: errno) }
        try sync(folder)
    }

    func discard() { unlink(temporary) }

    private var folder: String {
        guard let slash = target.lastIndex(of: "/") else { return "." }
        return slash == target.startIndex ? "/" : String(target[..<slash])
    }

    private func sync(_ name: String) throws(HDF5Error) {
        let descriptor = Glibc.open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .system(path: path, operation: "sync to the disk", code: errno) }
        defer { Glibc.close(descriptor) }
        // EINVAL: a file system that has nothing to sync (some network and memory ones), which is no failure.
        guard fsync(descriptor) == 0 || errno == EINVAL else {
            throw .system(path: path, operation: "sync to the disk", code: errno)
        }
    }
}

/// Size in bytes of the regular file at `path`. Pipes and devices are refused: opening one can wait forever.
func regularFileSize(_ path: String) throws(HDF5Error) -> Int {
    var status = stat()
    guard stat(path, &status) == 0 else { throw .system(path: path, operation: "open", code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
        throw .mismatch(path: path, object: "/", expected: "a regular file",
                        got: status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "a device or pipe")
    }
    return Int(status.st_size)
}
