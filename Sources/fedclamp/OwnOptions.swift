import ArgumentParser
import OwnMethods

/// How a user's own programs are spoken to.
struct ExecOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Longest time that a program of your own may take for an answer, in seconds.", valueName: "s"))
    var execSeconds = 600.0

    @Option(
        help: ArgumentHelp(
            "File to which the stderr of your own programs is appended. (default: only the last line "
                + "is kept, for error messages)", valueName: "file"), completion: .file())
    var execLog: String?

    func validate() throws {
        guard execSeconds > 0, execSeconds <= Self.longest else {
            throw ValidationError("--exec-seconds \(execSeconds): expected a number above 0, up to \(Int(Self.longest))")
        }
    }

    /// To be called before own methods are named. Arrays are exchanged in a folder beside `output`. Throws `HDF5Error`.
    func prepare(beside output: String) throws {
        try OwnMethods.prepare(beside: output, seconds: execSeconds, log: execLog)
    }

    /// A week.
    private static let longest = 604_800.0
}

/// For commands whose files say what is to be done: the own methods among it that may be used.
struct GrantOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A method of your own that the files may use: exec:PROGRAM, or a trigger's picture. May be repeated; "
                + "a program that only a file names is never started.", valueName: "method"))
    var own: [String] = []

    @OptionGroup var exec: ExecOptions

    /// Throws `Failure.usage`, `OwnMethodError`.
    func prepare(beside output: String) throws {
        try exec.prepare(beside: output)
        for request in own {
            guard OwnMethod.isRequest(request) else {
                throw Failure.usage("--own \(request): expected \(OwnMethod.expected(OwnKind.allCases))")
            }
            _ = try OwnMethods.grant(request, as: OwnKind.allCases)
        }
    }
}

/// A user's own methods that get places in tables.
struct RowOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A row for a defence of your own: exec:PROGRAM, a rule or a defence on the model (tools/python). "
                + "May be repeated.", valueName: "exec:program"))
    var defense: [String] = []

    @Option(
        help: ArgumentHelp(
            "Places for a trigger of your own, columns of main and rows where triggers vary: exec:PROGRAM, a .png, or a .h5. "
                + "May be repeated.", valueName: "trigger"), completion: .file())
    var trigger: [String] = []

    @Option(
        help: ArgumentHelp(
            "Places for a malicious update of your own, columns of main and rows where attacks vary: exec:PROGRAM. "
                + "May be repeated.", valueName: "exec:program"))
    var maliciousUpdate: [String] = []

    @OptionGroup var exec: ExecOptions

    /// Starts the programs and finds the pictures. Throws `Failure.usage`, `OwnMethodError`.
    func methods(beside output: String) throws -> [OwnMethod] {
        try exec.prepare(beside: output)
        let all: [(option: String, names: [String], kinds: [OwnKind])] = [
            ("--defense", defense, [.rule, .modelDefense]), ("--trigger", trigger, [.trigger]),
            ("--malicious-update", maliciousUpdate, [.maliciousUpdate]),
        ]
        var methods: [OwnMethod] = []
        for (option, names, kinds) in all {
            for name in names {
                guard OwnMethod.isRequest(name), OwnMethod.isName(name, of: kinds) else {
                    throw Failure.usage(
                        "\(option) \(name): expected your own, \(OwnMethod.expected(kinds)); the built-in "
                            + "ones have their rows in any case")
                }
                methods += try OwnMethods.grant(name, as: kinds).filter { !methods.contains($0) }
            }
        }
        return methods
    }
}
