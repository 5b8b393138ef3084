/// What goes wrong with a user's own method. Each names the method; each is one line.
public enum OwnMethodError: Error, CustomStringConvertible {
    /// The program cannot be started at all.
    case start(request: String, reason: String)
    /// A file asks for a method that the command line did not name.
    case notGranted(OwnMethod)
    /// It ended, was silent for too long, or said what it may not say. `said`: the last it wrote to its standard error.
    case conversation(label: String, asked: String, what: String, said: String)
    /// What it answered is not what the kind of method gives.
    case answer(label: String, asked: String, expected: String, got: String, said: String)

    public var description: String {
        switch self {
        case let .start(request, reason): "\(request): \(reason)"
        case let .notGranted(method):
            "the \(method.kind.rawValue) \(method.label) (sha256 \(method.digest)...) is needed, and nothing that a file "
                + "names is started: "
                + (method.kind == .trigger ? "name it with --trigger or --own" : "name the program with --own exec:PROGRAM")
        case let .conversation(label, asked, what, said):
            "\(label), asked for \(asked): \(what)\(what.hasSuffix(said) ? "" : Self.quoted(said))"
        case let .answer(label, asked, expected, got, said):
            "\(label), asked for \(asked): expected \(expected), got \(got)\(Self.quoted(said))"
        }
    }

    private static func quoted(_ said: String) -> String { said.isEmpty ? "" : "; it said: \(said)" }
}
