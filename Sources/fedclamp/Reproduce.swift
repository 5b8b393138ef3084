import ArgumentParser
import Experiments
import Options

struct Reproduce: Configurable {
    static let required = ["--out=x"]

    static let configuration = CommandConfiguration(
        commandName: "reproduce",
        abstract: "Compute tables of results: every defence against every attack, and what they depend on.",
        discussion: Help.folded(
            """
            Tables: \(Tables.names.joined(separator: ", ")), or all. Scales are budgets of image passes:
            \(Scale.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

            Each training's run file stays in DIR/cells: a second call skips what is finished and goes on with what is \
            not. Written at the end: results.h5, report.html and, for each table, .md, .csv and .tex. --set gives any option of run \
            another value in all cells, unless the table varies it itself; a folder holds tables of one scale and one --set.

              fedclamp reproduce main --scale smoke --list --out results/smoke
              fedclamp reproduce main --scale smoke --out results/smoke
              fedclamp reproduce main --scale paper --shard 3/8 --out results/shard-3
              fedclamp reproduce main --defense exec:./mine.py --out results/mine
              fedclamp reproduce main --scale smoke --row none --row multi-krum --out results/smoke
              fedclamp reproduce main --scale quick --set rounds=10 --set partition=dirichlet:0.3 --out results/uneven

            Without --data, data/fashion-mnist.h5 is looked for here, then beside the executable, then in ../share/fedclamp. Without \
            --synthetic, Fashion-MNIST gets the FM images data/fashion-mnist-fm.h5, looked for likewise. Where there are none, and with \
            other data, withheld training images stand in for FM data.
            """))

    @Argument(
        help: ArgumentHelp("Tables, or all. (default: main)", valueName: "table"), completion: .list(Reproduce.choices),
        transform: { try Reproduce.tables($0) })
    var chosen: [[String]] = []

    @Option(
        help: ArgumentHelp("smoke, quick, study or paper.", valueName: "name"), completion: .list(Scale.all.map(\.name)),
        transform: { try choose($0, "scale", from: Scale.all.map { ($0.name, $0) }) })
    var scale: Scale?

    @Option(
        help: ArgumentHelp(
            "Give an option of run this value in all cells, in place of the scale's or the table's own; may be repeated.",
            valueName: "name=value"))
    var set: [String] = []

    @OptionGroup var options: TableOptions

    @OptionGroup(title: "your own methods") var rows: RowOptions

    @Option(help: ArgumentHelp("Folder of results.", valueName: "dir"), completion: .directory)
    var out: String

    @OptionGroup var machine: MachineOptions

    @Option(help: ArgumentHelp("Read options from a file.", valueName: "file"), completion: .file())
    var config: String?

    static func tables(_ name: String) throws -> [String] {
        if name == "all" { return Tables.names }
        if let tables = Tables.groups[name] { return tables }
        return [try choose(name, "table", from: choices.map { ($0, $0) })]
    }

    /// What may stand for tables.
    static let choices = Tables.names + Tables.groups.keys.sorted() + ["all"]

    func run() throws {
        let wanted = Set(chosen.isEmpty ? [MainTable.name] : chosen.flatMap { $0 })
        let work = TableWork(
            options: options, machine: machine, out: out, scale: scale ?? .smoke, tables: Tables.names.filter(wanted.contains),
            grid: try grid(), blame: blamed)
        try work.run { try rows.methods(beside: "\(out)/results") }
    }

    /// What `--set` says. Throws `Failure.usage`.
    private func grid() throws -> Grid {
        var grid = Grid()
        for text in set {
            guard let equals = text.firstIndex(of: "="), equals != text.startIndex else {
                throw Failure.usage("--set \(text): expected NAME=VALUE, as in --set rounds=10")
            }
            let name = String(text[..<equals])
            do { try grid.add(name, String(text[text.index(after: equals)...])) } catch let error as SettingError {
                let isOurs = try error.given == nil && CommandDefinition.optionNames(Self.self).contains(name)
                let expected = isOurs ? "an option of a training; --\(name) is an option of reproduce itself" : error.expected
                throw Failure.usage("--set \(text): expected \(expected)")
            }
            guard grid.varied.isEmpty else { throw Failure.usage("--set \(text): expected one value; fedclamp sweep takes several") }
        }
        return grid
    }

    /// An error in what `--set` says, by its text there.
    private func blamed(_ error: any Error) -> any Error {
        if let error = error as? SettingError, let text = set.first(where: { $0.hasPrefix("\(error.name)=") }) {
            return Failure.usage("--set \(text): expected \(error.expected)")
        }
        if let error = error as? PlanError, error.reason is SettingError { return Failure.usage("--set: \(error)") }
        return error
    }
}
