import Glibc
import HDF5

/// Small text files, replaced as one step.
enum TextFile {
    /// A temporary file in the same folder, synced, then renamed. Throws `HDF5Error.system`.
    static func write(_ text: String, to path: String) throws { try Replacement.write(Array(text.utf8), to: path) }

    /// Bytes that a text file may have: 1 MiB.
    private static let limit = 1 << 20

    /// The lines of the whole file; nil where there is none. Throws `HDF5Error` for what is no text file of ours.
    static func read(_ path: String) throws -> [TextLines.Line]? {
        guard Files.status(path) != nil || errno != ENOENT else { return nil }
        return try TextLines.read(path, limit: limit).lines
    }
}

/// A call to the operating system failed with `code` (an errno).
public struct FileError: Error, CustomStringConvertible {
    public var path: String, operation: String, code: Int32

    public var description: String { "\(path): cannot \(operation): \(String(cString: strerror(code)))" }
}
