import Glibc
import HDF5

/// What can go wrong with data sets, their original files and partitions. `description` renders it, one line.
public enum DatasetError: Error, Equatable, Sendable, CustomStringConvertible {
    /// An HDF5 file could not be read or is not of the schema's types and ranks.
    case file(HDF5Error)
    /// None of `files` is in `folder`.
    case missing(folder: String, files: [String], hint: String)
    /// `path` was read; `what` in it is not as it must be.
    case malformed(path: String, what: String, expected: String, got: String, hint: String = "")
    /// A call to the operating system failed with `code` (an errno).
    case system(path: String, operation: String, code: Int32)
    /// An argument, or a combination of them, cannot be met.
    case argument(what: String, expected: String, got: String, hint: String = "")

    public var description: String { HDF5Error.oneLine(rendered) }

    private var rendered: String {
        switch self {
        case .file(let error): return error.description
        case .missing(let folder, let files, let hint):
            return "\(folder): expected \(files.joined(separator: ", ")), found none of that name\(Self.bracket(hint))"
        case .malformed(let path, let what, let expected, let got, let hint):
            return "\(path): \(what): expected \(expected), got \(got)\(Self.bracket(hint))"
        case .system(let path, let operation, let code):
            return "\(path): cannot \(operation): \(String(cString: strerror(code)))"
        case .argument(let what, let expected, let got, let hint):
            return "\(what): expected \(expected), got \(got)\(Self.bracket(hint))"
        }
    }

    private static func bracket(_ hint: String) -> String { hint.isEmpty ? "" : " (\(hint))" }
}

/// Runs `body`, with errors of the HDF5 room as errors of this one.
func readingHDF5<R>(_ body: () throws(HDF5Error) -> R) throws(DatasetError) -> R {
    do { return try body() } catch { throw .file(error) }
}
