import Glibc

/// What can go wrong with an HDF5 file. `path` is the file, `object` the path of the group, dataset or attribute in it
/// ("/" is the file as a whole). `description` is the one place that renders it: one line.
public enum HDF5Error: Error, Equatable, Sendable, CustomStringConvertible {
    /// The object is not in the file.
    case missing(path: String, object: String)
    /// The object is there and is something else.
    case mismatch(path: String, object: String, expected: String, got: String)
    /// The object is read only by following what a stranger wrote in the file, or is larger than it can honestly be.
    case refused(path: String, object: String, reason: String)
    /// A call to HDF5 failed; `library` is HDF5's own error stack, innermost first.
    case library(path: String, object: String, operation: String, library: String)
    /// A call to the operating system failed with `code` (an errno).
    case system(path: String, operation: String, code: Int32)

    /// The file that the error is about.
    public var path: String {
        switch self {
        case .missing(let path, _), .mismatch(let path, _, _, _), .refused(let path, _, _), .library(let path, _, _, _),
             .system(let path, _, _): return path
        }
    }

    public var description: String {
        switch self {
        case .missing(let path, let object):
            return "\(path): \(object) is not in this file (\"h5dump -n \(path)\" lists what is)"
        case .mismatch(let path, let object, let expected, let got):
            return "\(path): \(object): expected \(expected), got \(got)"
        case .refused(let path, let object, let reason):
            return "\(path): \(object): refused: \(reason)"
        case .library(let path, let object, let operation, let library):
            return "\(path): \(object): cannot \(operation): HDF5 says: \(library)\(Self.hint(operation, library))"
        case .system(let path, let operation, let code):
            return "\(path): cannot \(operation): \(String(cString: strerror(code)))"
        }
    }

    private static func hint(_ operation: String, _ library: String) -> String {
        if library.contains("file signature not found") { return " (this is not an HDF5 file)" }
        if library.contains("truncated file") { return " (the file was cut short: copy or make it again)" }
        return operation.hasPrefix("write") ? " (is the disk full?)" : ""
    }
}
