import Datasets
import Glibc
import HDF5

/// The own methods that this command may use. Only what its command line, or a configuration file that the command line
/// names, asks for comes in here; identities in other files are looked up and never started from the file alone.
public enum OwnMethods {
    private enum Granted { case program(OwnProgram), picture(path: String) }
    private nonisolated(unsafe) static var granted: [OwnMethod: Granted] = [:]
    private nonisolated(unsafe) static var programs: [String: OwnProgram] = [:]

    /// Where the command writes: the folder for arrays is made beside it. To be called before the first `grant`.
    public static func prepare(beside output: String, seconds: Double, log path: String?) throws {
        Exchange.seconds = seconds
        let own = "\(getpid())-\(String(UInt32.random(in: 0...UInt32.max), radix: 16))"
        Exchange.folder = Files.companion(of: output, folderMark + own)
        guard let path else { return }
        let descriptor = Files.open(path, O_WRONLY | O_CREAT | O_APPEND, 0o666)
        guard descriptor >= 0 else {
            throw HDF5Error.system(path: path, operation: "open the log of own methods", code: errno)
        }
        Exchange.log = descriptor
    }

    /// In the name of every folder for arrays; what killed processes leave is known by it.
    public static let folderMark = ".exec-"

    /// Takes up what a user typed, as a method of one of `kinds`: starts the program and asks what it offers, or finds
    /// the picture. An identity stays what it is.
    ///
    /// - Parameter kinds: of which exactly one must be offered; with `OwnKind.allCases` every one offered is taken.
    /// - Throws: `OwnMethodError`.
    public static func grant(_ request: String, as kinds: [OwnKind]) throws -> [OwnMethod] {
        if let method = OwnMethod(request) { return [method] }
        guard request.hasPrefix(OwnMethod.scheme) else { return [try grantPicture(request)] }
        let program = try programs[request] ?? OwnProgram(request), offered = try program.offered().kinds
        let found = kinds.filter { offered.contains($0.rawValue) }
        guard !found.isEmpty, found.count == 1 || kinds == OwnKind.allCases else {
            let wanted = kinds.map(\.rawValue).joined(separator: ", "), there = offered.joined(separator: ", ")
            let reason = "expected a program with \(found.isEmpty ? "one" : "just one") of: \(wanted); it offers \(there)"
            throw OwnMethodError.start(request: request, reason: reason)
        }
        if let other = programs.values.first(where: { $0.label == program.label && $0.request != request }) {
            throw OwnMethodError.start(
                request: request,
                reason: "\(other.request) is called \(program.label) too; give one another name")
        }
        programs[request] = program
        let methods = found.map { OwnMethod(label: program.label, kind: $0, digest: program.digest) }
        for method in methods { granted[method] = .program(program) }
        return methods
    }

    private static func grantPicture(_ path: String) throws -> OwnMethod {
        let digest: String
        do { digest = SHA256.hexadecimal(of: try Files.read(path, limit: 64 << 20)) } catch {
            throw OwnMethodError.start(request: path, reason: "\(error)")
        }
        let label = Files.split(path).name
        guard OwnMethod.isLabel(label) else {
            throw OwnMethodError.start(
                request: path,
                reason: "its name appears in tables: expected letters, digits and ._- "
                    + "in it, \(OwnMethod.longestLabel) at most")
        }
        let method = OwnMethod(label: label, kind: .trigger, digest: digest)
        granted[method] = .picture(path: path)
        return method
    }

    /// The program of a method. Throws `OwnMethodError.notGranted` where the command line did not name it.
    public static func program(_ method: OwnMethod) throws -> OwnProgram {
        guard case let .program(program)? = granted[method] else { throw OwnMethodError.notGranted(method) }
        return program
    }

    /// The file of a trigger that is a picture; nil where the command line did not name it.
    public static func picture(_ method: OwnMethod) -> String? {
        if case let .picture(path)? = granted[method] { path } else { nil }
    }

    /// The granted methods' commands as typed, for the record; empty for methods that were not needed to be granted.
    public static func command(_ method: OwnMethod) -> String? {
        switch granted[method] {
        case let .program(program): program.request
        case let .picture(path): path
        case nil: nil
        }
    }

    /// Ends all programs and removes what was exchanged.
    public static func endAll() {
        for program in programs.values { program.end() }
        guard Exchange.isFolderMade else { return }
        remove(folder: Exchange.folder)
        Exchange.isFolderMade = false
    }

    /// Removes a folder for arrays, with all that is in it; a program may have made folders there. Links are not followed.
    public static func remove(folder: String) {
        for name in Files.names(in: folder) where name != "." && name != ".." {
            let path = "\(folder)/\(name)"
            if Files.withBytes(path, { Glibc.unlink($0) }) != 0, errno == EISDIR { remove(folder: path) }
        }
        Files.withBytes(folder) { _ = rmdir($0) }
    }

    /// For a signal handler that ends the process: ends all programs at once. `prepareForSignals` comes before.
    public static func killAll() { Groups.killAll() }
    public static func prepareForSignals() { Groups.prepare() }
}
