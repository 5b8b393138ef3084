import Datasets
import Glibc
import HDF5

/// A program that speaks the protocol of own methods, version 1 (tools/python/PROTOCOL.md). It is started at the first
/// use and again after a failure, and asked by one thread at a time: the answer must follow from the question alone.
public final class OwnProgram: @unchecked Sendable {
    static let version = 1

    public let label: String
    /// As typed.
    let request: String
    private let path: String, arguments: [String]
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    // Under `mutex`.
    private var child: ChildProcess?, number = 0
    private(set) var kinds: [String] = [], wants: Set<String> = []
    let digest: String

    /// - Parameter request: "exec:PROGRAM[:ARGUMENT...]".
    /// - Throws: `OwnMethodError.start` for a program that is not there, or whose name cannot stand in results.
    init(_ request: String) throws {
        self.request = request
        let parts = request.dropFirst(OwnMethod.scheme.count).split(separator: ":", omittingEmptySubsequences: false)
            .map(String.init)
        path = try Self.find(parts[0], request)
        arguments = Array(parts.dropFirst())
        label = OwnMethod.scheme + ([Self.stem(Files.split(parts[0]).name)] + arguments).joined(separator: ":")
        guard OwnMethod.isLabel(label) else {
            throw OwnMethodError.start(
                request: request,
                reason: "its name appears in tables and files: expected letters, "
                    + "digits and ._- in the program's name and its arguments, \(OwnMethod.longestLabel) at most")
        }
        digest = try Self.digest(path, request)
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        child?.end(after: 0)
        mutex.deallocate()
    }

    /// A file's name without its ending.
    private static func stem(_ name: String) -> String {
        guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return name }
        return String(name[..<dot])
    }

    private static func find(_ name: String, _ request: String) throws -> String {
        if let status = Files.status(name) {
            guard status.st_mode & S_IFMT == S_IFREG else {
                throw OwnMethodError.start(request: request, reason: "expected a program, got a folder or device")
            }
            return name.contains("/") ? name : "./\(name)"
        }
        let folders = name.contains("/") ? [] : (getenv("PATH").map { Files.path($0) } ?? "").split(separator: ":")
        guard let found = folders.map({ "\($0)/\(name)" }).first(where: { Files.exists($0) }) else {
            throw OwnMethodError.start(request: request, reason: "there is no program \(name)")
        }
        return found
    }

    private static func digest(_ path: String, _ request: String) throws -> String {
        do { return SHA256.hexadecimal(of: try Files.read(path, limit: 256 << 20)) } catch {
            throw OwnMethodError.start(request: request, reason: "\(error)")
        }
    }

    /// Asks it as a method of a kind. Throws `OwnMethodError`; the program is ended then.
    public func ask(_ kind: OwnKind, _ request: OwnRequest) throws -> OwnAnswer {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        try startIfNeeded()
        number += 1
        try Exchange.makeFolder()
        let stem = "\(Exchange.folder)/\(number)-\(label)", files = (input: "\(stem).in.h5", output: "\(stem).out.h5")
        defer { Files.unlink(files.input); Files.unlink(files.output) }
        try HDF5File.writeUnsynced(files.input) { file in
            for (name, array) in request.arrays { try file.write("/\(name)", array) }
            try file.write(request.state, group: "/state")
        }
        let asked = Self.asked(kind, request)
        var members = request.members
        members["ask"] = .text(kind.rawValue)
        (members["id"], members["input"], members["output"]) = (.whole(number), .text(files.input), .text(files.output))
        do {
            let line = try converse(members, asked)
            return try OwnAnswer(line, number, request, file: files.output, fault(asked))
        } catch {
            stop()
            throw error
        }
    }

    /// "rule, round 3": for errors.
    private static func asked(_ kind: OwnKind, _ request: OwnRequest) -> String {
        let places = ["round", "client"].compactMap { name in request.members[name].map { "\(name) \($0.shown)" } }
        return ([kind.rawValue] + places).joined(separator: ", ")
    }

    /// Errors in its answer to what it was asked.
    private func fault(_ asked: String) -> OwnAnswer.Fault {
        let label = label, said = child?.lastWords ?? ""
        return { .answer(label: label, asked: asked, expected: $0, got: $1, said: said) }
    }

    /// Starts it and hears what it offers. Called under `mutex`.
    private func startIfNeeded() throws {
        guard child == nil else { return }
        guard try Self.digest(path, request) == digest else {
            throw OwnMethodError.start(
                request: request,
                reason: "the program was changed since this command began; start the command again")
        }
        let isScript = path.hasSuffix(".py") && !Files.isProgram(path)
        do {
            child = try ChildProcess(
                (isScript ? [Self.python] : []) + [path] + arguments,
                environment: ChildProcess.environment + ["FEDCLAMP_EXEC=1"], log: Exchange.log)
        } catch {
            throw OwnMethodError.start(
                request: request, reason: "\(error)" + (isScript ? Self.pythonHint : interpreterHint ?? Self.fileHint))
        }
        do { try greet() } catch {
            stop()
            throw error
        }
    }

    /// Beside the executable there is a python3 where `pip install` put both into a virtual environment, which has the package.
    private static var python: String {
        let beside = Files.executableFolder.map { "\($0)/python3" }
        return beside.flatMap { Files.isProgram($0) ? $0 : nil } ?? "python3"
    }

    /// What is wrong with the first line of a script that does not start; nil where nothing is.
    private var interpreterHint: String? {
        guard let bytes = try? Files.read(path, limit: 64 << 20), bytes.starts(with: "#!".utf8) else { return nil }
        let line = bytes.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }
        guard line.last != UInt8(ascii: "\r") else {
            return ": its lines end as on Windows, and the system looks for an interpreter whose name ends with a carriage return; "
                + "save it with Unix line ends"
        }
        let interpreter = Files.path(Array(line.drop { $0 == 32 }.prefix { $0 != 32 && $0 != 9 }))
        return Files.exists(interpreter) ? nil : ": its interpreter, \(interpreter), is not there"
    }

    private static let pythonHint = " (with python3, as the file is not executable)"
    private static let fileHint =
        ": expected an executable file: a binary, or a script whose first line is #!INTERPRETER; "
        + "a .py that is not executable is run with python3"

    private func greet() throws {
        let asked = "its kinds", hello: [String: OwnJSON] = ["hello": .text("fedclamp"), "protocol": .whole(Self.version)]
        let members = try converse(hello, asked), fault = fault(asked)
        func shown(_ key: String) -> String { members[key]?.shown ?? "nothing" }
        guard members["protocol"] == .whole(Self.version) else {
            throw fault("\"protocol\": \(Self.version)", shown("protocol"))
        }
        let known = OwnKind.allCases.map(\.rawValue)
        guard let kinds = members["kinds"]?.texts, !kinds.isEmpty, kinds.allSatisfy(known.contains) else {
            throw fault("\"kinds\": some of \(known.joined(separator: ", "))", shown("kinds"))
        }
        (self.kinds, wants) = (kinds, Set(members["wants"]?.texts ?? []))
        if let stranger = members.keys.sorted().first(where: { !["protocol", "kinds", "wants"].contains($0) }) {
            throw fault("the keys protocol, kinds and wants", "\"\(stranger)\"")
        }
    }

    /// The kinds that it offers, and what it wants besides what each gets. Throws `OwnMethodError`.
    func offered() throws -> (kinds: [String], wants: Set<String>) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        try startIfNeeded()
        return (kinds, wants)
    }

    /// Whether it wants something besides what every method of its kind gets: "images".
    public func wants(_ what: String) throws -> Bool { try offered().wants.contains(what) }

    private func converse(_ members: [String: OwnJSON], _ asked: String) throws -> [String: OwnJSON] {
        guard let child else { preconditionFailure("a program that was not started") }
        func broken(_ what: String) -> OwnMethodError {
            .conversation(label: label, asked: asked, what: what, said: child.lastWords)
        }
        let line: String
        do throws(ChildProcess.Silence) {
            line = try child.answer(to: try Self.line(members, label), before: ChildProcess.now + Exchange.seconds)
        } catch {
            switch error {
            case let .ended(how):
                let serves = members["hello"] == nil || how != ChildProcess.endedWell
                throw broken("expected a line of JSON, but it \(how)" + (serves ? "" : "; in Python its last line is fedclamp.serve()"))
            case .tooLong: throw broken("expected an answer within \(Exchange.seconds) s (--exec-seconds), got none")
            case .longLine: throw broken("expected a line of at most 1 MiB, got more")
            }
        }
        guard let answer = OwnJSON.members(line) else {
            throw fault(asked)(
                "a line of JSON, an object (is something printed to the standard output?)",
                "\"\(line.prefix(100))\"")
        }
        if let text = answer["error"]?.text { throw broken("it says: \(text.prefix(300))") }
        return answer
    }

    private static func line(_ members: [String: OwnJSON], _ label: String) throws(ChildProcess.Silence) -> String {
        do { return try OwnJSON.line(members) } catch {
            preconditionFailure("\(label): a number in a line is not finite")
        }
    }

    private func stop() {
        child?.end(after: 0)
        child = nil
    }

    /// Ends the program; it is started again where it is asked again.
    func end() {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        child?.end(after: 2)  // a Python with PyTorch takes some tenths of a second to end
        child = nil
    }
}
