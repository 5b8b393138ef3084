import ArgumentParser
import Experiments
import Federation
import HDF5

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Compare runs: the options that differ, ACC and ASR, and the curves over the rounds.",
        discussion: Help.folded(
            """
            Takes run files, also those in the folder cells of a table or sweep, finished or not. ACC and ASR are those of the global \
            model, of each defended model, and of the clients' own models where they were measured.

              fedclamp compare run.h5 run-2.h5
              fedclamp compare run.h5 run-2.h5 --report runs.html
            """))

    @Argument(help: ArgumentHelp("Run files, two or more.", valueName: "run.h5"), completion: .file())
    var files: [String]

    @Option(
        help: ArgumentHelp("Also write a page with the curves of all runs, which needs no other file.", valueName: "file.html"),
        completion: .file())
    var report: String?

    @Flag(help: "Replace an existing page.")
    var overwrite = false

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func validate() throws {
        guard files.count > 1 else { throw ValidationError("compare \(files.first ?? ""): expected two run files or more, got one") }
    }

    func run() throws {
        let comparison = try Comparison(files)
        if let report {
            try requireWritable(report, replace: overwrite, inputs: files)
            try Replacement.write(Array(comparison.html.utf8), to: report)
        }
        output(json ? Self.json(comparison).rendered() : comparison.text + (report.map { "\n\nwrote \($0)" } ?? ""))
    }

    private static func json(_ comparison: Comparison) -> JSON {
        let runs = comparison.runs.map { run in
            JSON.object([
                ("file", .text(run.path)), ("name", .text(run.name)), ("dataset", .text(run.dataset)),
                ("rounds", .whole(run.configuration.rounds)),
                ("finished_rounds", .whole(max(0, run.finishedRounds))),
                ("models", .object(run.models.map { ($0.name, .object(rates($0.accuracy, $0.attackSuccess))) })),
                ("history", .array(run.history.map { .object([("round", .whole($0.round))] + rates($0.accuracy, $0.attackSuccess)) })),
            ])
        }
        return .object([
            ("runs", .array(runs)),
            ("differences", .object(comparison.differences.map { ($0.name, .array($0.values.map { .plain($0) })) })),
            ("remarks", .array(comparison.remarks.map { .text($0) })),
        ])
    }

    private static func rates(_ accuracy: Double, _ attackSuccess: Double) -> [(String, JSON)] {
        [("accuracy", .number(accuracy)), ("attack_success_rate", .number(attackSuccess))]
    }
}
