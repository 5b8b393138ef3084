import ArgumentParser
import Defenses
import Experiments
import Federation
import Rules

struct StepAggregate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aggregate",
        abstract: "Combine a round's updates by the run's rule before aggregation.",
        discussion: Help.folded(
            """
            Each update must be of this run, round and global checkpoint, of a client of the round, and finite; one that is \
            not is refused with its sender's name, and nothing is written. K=FILE says that FILE came from client K. \
            Clients without an update are missing, which costs their part only.

              fedclamp step aggregate g0.h5 u0.h5 u1.h5 --synthetic data/fashion-mnist-fm.h5 --out a1.h5
              fedclamp step aggregate g0.h5 0=u0.h5 1=u1.h5 --skip-refused --synthetic data/fashion-mnist-fm.h5 --out a1.h5
            """))

    @Argument(help: ArgumentHelp("Global checkpoint.", valueName: "global.h5"), completion: .file())
    var global: String

    @Argument(help: ArgumentHelp("Updates.", valueName: "update.h5"), completion: .file())
    var updates: [String]

    @Option(help: ArgumentHelp("Aggregate to write.", valueName: "file.h5"), completion: .file())
    var out: String

    @Flag(help: "Go on without updates that are refused.")
    var skipRefused = false

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    @OptionGroup var server: ServerOptions

    @Flag(help: "Results as one JSON object.")
    var json = false

    func run() throws {
        _ = try server.machine.threadCount()
        try server.grants.prepare(beside: out)
        let files = updates.map(Self.sender)
        try requireWritable(out, replace: overwrite, inputs: [global] + files.map(\.path) + server.inputs)
        let state = try GlobalFile.read(global), data = try server.load(state)
        let (rule, _) = try state.configuration.makeDefenses()
        let round = try RoundSteps.aggregate(state, files, by: rule, data, try server.server(state), skipsRefused: skipRefused)
        try RoundSteps.write(round, data, to: out)
        round.refusals.forEach { note("refused: \($0)") }
        output(json ? rendered(round).rendered() : text(round, rule.label))
    }

    /// "3=u.h5" as client and path; a path alone names no client.
    private static func sender(_ argument: String) -> (client: Int?, path: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let client = Int(parts[0]), parts[0].allSatisfy(\.isNumber) else { return (nil, argument) }
        return (client, String(parts[1]))
    }

    private func text(_ round: AggregatedRound, _ rule: String) -> String {
        func list(_ clients: [Int]) -> String { clients.isEmpty ? "none" : clients.map { "\($0)" }.joined(separator: " ") }
        let rejected = round.rejected.map { "; rejected by \(rule): \(list($0))" } ?? ""
        return
            "round \(round.row.round): \(round.clients.count) of \(round.clients.count + round.missing.count) updates; missing clients: \(list(round.missing))\(rejected)\nwrote \(out)"
    }

    private func rendered(_ round: AggregatedRound) -> JSON {
        .object([
            ("round", .whole(round.row.round)), ("clients", .array(round.clients.map { .whole($0) })),
            ("missing", .array(round.missing.map { .whole($0) })),
            ("rejected", round.rejected.map { .array($0.map { .whole($0) }) } ?? .null),
            ("refused", .array(round.refusals.map { .text($0) })), ("loss", .number(round.row.loss)), ("out", .text(out)),
        ])
    }
}

struct StepFuse: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fuse",
        abstract: "Fuse an aggregate on the FM data: the next global checkpoint.",
        discussion: Help.folded(
            """
              fedclamp step fuse a1.h5 --synthetic data/fashion-mnist-fm.h5 --out g1.h5
            """))

    @Argument(help: ArgumentHelp("What step aggregate wrote.", valueName: "aggregate.h5"), completion: .file())
    var aggregate: String

    @Option(help: ArgumentHelp("Global checkpoint to write.", valueName: "file.h5"), completion: .file())
    var out: String

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    @OptionGroup var server: ServerOptions

    @Flag(help: "The state of the run as one JSON object.")
    var json = false

    func run() throws {
        _ = try server.machine.threadCount()
        try server.grants.prepare(beside: out)
        try requireWritable(out, replace: overwrite, inputs: [aggregate] + server.inputs)
        let read = try AggregateFile.read(aggregate), data = try server.load(read.state)
        let state = try RoundSteps.fuse(read, data, try server.server(read.state))
        try GlobalFile.write(state, data, to: out)
        output(
            json ? JSON.object(StepProgress(state).members + [("out", .text(out))]).rendered() : "\(StepProgress(state).text)\nwrote \(out)"
        )
    }
}

struct StepBound: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bound",
        abstract: "Fit the activation bounds after the last round.",
        discussion: Help.folded(
            """
            Due after the last round of a run with --defense bounds or bounds-paper. The bounds of any other checkpoint: \
            fedclamp bound.

              fedclamp step bound g3.h5 --synthetic data/fashion-mnist-fm.h5 --out bounded.h5
            """))

    @Argument(help: ArgumentHelp("Global checkpoint.", valueName: "global.h5"), completion: .file())
    var global: String

    @Option(help: ArgumentHelp("Global checkpoint to write.", valueName: "file.h5"), completion: .file())
    var out: String

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    @OptionGroup var server: ServerOptions

    @Flag(help: "The state of the run as one JSON object.")
    var json = false

    func run() throws {
        _ = try server.machine.threadCount()
        try server.grants.prepare(beside: out)
        try requireWritable(out, replace: overwrite, inputs: [global] + server.inputs)
        var state = try GlobalFile.read(global, boundsMayBeDue: true)
        let data = try server.load(state), findings = try RoundSteps.bound(&state, data, try server.server(state))
        try GlobalFile.write(state, data, audit: findings, to: out)
        var table = TextTable([.left, .left])
        for finding in findings { table.add([finding.name, finding.value]) }
        let members = StepProgress(state).members + [("audit", .object(findings.map { ($0.name, .text($0.value)) })), ("out", .text(out))]
        output(
            json
                ? JSON.object(members).rendered()
                : (["bounds after \(StepProgress(state).text)"] + table.rendered(indent: 2) + ["wrote \(out)"]).joined(separator: "\n"))
    }
}
