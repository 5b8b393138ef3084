import ArgumentParser
import Experiments
import Options

struct Sweep: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sweep",
        abstract: "Compute every combination of options' values, for every seed, as a table.",
        discussion: Help.folded(
            """
            The grid is a file of lines "name = value" with the names of the options of run, read as run --config reads its files. \
            An option may have several values, with "|" between them; the first option changes slowest. What acts together, \
            rules, vouching and a defence on the model, is joined by " + ":

              clients = 7
              rounds = 5
              attack = none | fm
              partition = iid | dirichlet:0.3
              defense = none | multi-krum + bounds-unlearning

            data, synthetic, evaluate-on, seeds and first-seed may stand in the file, too, with one value each; the command line wins. \
            Attacks make the columns of the table, all other options with several values its rows, and each of them a column of \
            sweep.csv. Everything else is as in reproduce: a second call goes on with what is not finished, --shard and merge share the \
            work, and a folder takes one grid.

              fedclamp sweep grid.conf --list --out results/grid
              fedclamp sweep grid.conf --seeds 3 --out results/grid
              fedclamp sweep grid.conf --shard 3/8 --out results/shard-3
              fedclamp inspect results/grid
            """))

    @Argument(help: ArgumentHelp("File with options of run, each with one value or several.", valueName: "grid.conf"), completion: .file())
    var file: String

    @OptionGroup var options: TableOptions

    @OptionGroup var exec: ExecOptions

    @Option(help: ArgumentHelp("Folder of results.", valueName: "dir"), completion: .directory)
    var out: String

    @OptionGroup var machine: MachineOptions

    func run() throws {
        let file = try GridFile(self.file)
        var options = options
        options.source.data = options.source.data ?? file.data
        options.source.synthetic = options.source.synthetic ?? file.synthetic
        options.evaluateOn = options.evaluateOn ?? file.evaluateOn
        options.seeds = options.seeds ?? file.seeds
        options.firstSeed = options.firstSeed ?? file.firstSeed
        try requireSize(file.grid, seeds: try options.seeds(else: Scale.sweep.seeds).count)
        let work = TableWork(
            options: options, machine: machine, out: out, scale: .sweep, tables: [SweepTable.name], grid: file.grid, blame: blamed)
        try exec.prepare(beside: "\(out)/results")
        try work.run { [] }
    }

    private func requireSize(_ grid: Grid, seeds: Int) throws {
        guard grid.count * seeds <= Grid.most else {
            let got = grid.count > Grid.most ? "more combinations" : "\(grid.count) x \(seeds)"
            throw Failure.input("\(file): expected at most \(Grid.most) cells, combinations times seeds, got \(got)")
        }
    }

    /// What the grid says wrong is said of its file.
    private func blamed(_ error: any Error) -> any Error {
        if let error = error as? SettingError { return Failure.input("\(file): \(error.inFile)") }
        if error is PlanError { return Failure.input("\(file): \(error)") }
        return error
    }
}
