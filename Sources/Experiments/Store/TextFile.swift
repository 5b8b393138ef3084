import Federation
import Glibc
import HDF5

/// Small text files, replaced as one step.
enum TextFile {
    /// A temporary file in the same folder, synced, then renamed. Throws `HDF5Error.system`.
    static func write(_ text: String, to path: String) throws { try Replacement.write(Array(text.utf8), to: path) }

    /// Bytes that a text file may have: 1 MiB.
    private static let limit = 1 << 20

    /// The whole file; nil where there is none. Throws for what is no regular file or too long.
    static func read(_ path: String) throws -> String? {
        var status = stat()
        guard stat(path, &status) == 0 else {
            if errno == ENOENT { return nil }
            throw FileError(path: path, operation: "open", code: errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG, status.st_size <= limit else {
            throw RunError.incompatible("\(path): expected a text file of at most \(limit) bytes")
        }
        guard let file = fopen(path, "re") else { throw FileError(path: path, operation: "open", code: errno) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = fread(&bytes, 1, bytes.count, file)
        guard ferror(file) == 0 else { throw FileError(path: path, operation: "read", code: errno) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}

/// A call to the operating system failed with `code` (an errno).
public struct FileError: Error, CustomStringConvertible {
    public var path: String, operation: String, code: Int32

    public var description: String { "\(path): cannot \(operation): \(String(cString: strerror(code)))" }
}
