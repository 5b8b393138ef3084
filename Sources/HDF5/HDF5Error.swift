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
            .system(let path, _, _):
            return path
        }
    }

    public var description: String { Self.oneLine(rendered) }

    private var rendered: String {
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

    /// `text` as one line of at most 1000 characters, the middle left out, without control characters: names and texts of
    /// hostile files get into errors and must neither break the line nor steer a terminal. Errors of other rooms that quote a
    /// file use it too.
    public static func oneLine(_ text: String) -> String {
        var line = String.UnicodeScalarView(), all = text.unicodeScalars
        if all.count > 1000 { all = String.UnicodeScalarView(all.prefix(695)) + " ... ".unicodeScalars + all.suffix(300) }
        for scalar in all {
            let control = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || (0x2028...0x202e).contains(scalar.value)
            line.append(control ? " " : scalar)
        }
        return String(line)
    }

    private static func hint(_ operation: String, _ library: String) -> String {
        if library.contains("file signature not found") { return " (this is not an HDF5 file)" }
        if library.contains("truncated file") { return " (the file was cut short: copy or make it again)" }
        if library.contains("bad version number") || library.contains("superblock version") {
            return " (written by a newer HDF5 in its latest format: write it with h5py's libver=\"v110\", or use h5repack)"
        }
        return ""
    }
}
