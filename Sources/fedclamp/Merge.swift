import ArgumentParser
import Experiments

struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "merge",
        abstract: "Combine the parts of a sharded reproduce or sweep into one folder of results.",
        discussion: Help.folded(
            """
            The parts must be of one scale or grid and one data set; the data themselves are not needed. Exit code 1 when trainings \
            are still missing: their places stay empty.

              fedclamp merge results/shard-1 results/shard-2 --out results/paper
            """))

    @Argument(help: ArgumentHelp("Folders that reproduce or sweep wrote.", valueName: "dir"), completion: .directory)
    var parts: [String]

    @Option(help: ArgumentHelp("Folder of the joined results; may be one of the parts.", valueName: "dir"), completion: .directory)
    var out: String

    func run() throws {
        let folder = ResultFolder(out), parts = parts.map { ResultFolder($0) }
        try folder.requireJoinable(parts)
        try folder.make()
        try OutputLock.take(folder: out)
        let setting = try folder.merge(parts)
        try ResultPrinter(folder, setting).finish(wanted: setting.tables, failures: [], isShard: false)
    }
}
