import ArgumentParser
import Datasets
import Defenses
import Experiments
import Federation
import Network
import Numerics
import OwnMethods

struct Reproduce: Configurable {
    static let required = ["--out=x"]

    static let configuration = CommandConfiguration(
        commandName: "reproduce",
        abstract: "Compute tables of results: every defence against every attack, and what they depend on.",
        discussion: """
            Tables: \(Tables.names.joined(separator: ", ")), or all. Scales are budgets of image passes:
            \(Scale.all.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

            Each training's run file stays in DIR/cells: a second call skips what is finished and goes on with what is \
            not. Written at the end: results.h5 and, for each table, .md, .csv and .tex.

              fedclamp reproduce main --scale smoke --list --out results/smoke
              fedclamp reproduce main --scale smoke --out results/smoke
              fedclamp reproduce main --scale paper --shard 3/8 --out results/shard-3
              fedclamp reproduce main --defense exec:./mine.py --out results/mine
              fedclamp reproduce main --scale smoke --row none --row multi-krum --out results/smoke

            Without --data, data/fashion-mnist.h5 is looked for here, then beside the executable; without --synthetic, \
            data/fashion-mnist-fm.h5 likewise, and where that is missing, withheld training images stand in for it.
            """)

    @Argument(help: ArgumentHelp("Tables, or all. (default: main)", valueName: "table"), completion: .list(Reproduce.choices),
              transform: { try Reproduce.tables($0) })
    var chosen: [[String]] = []

    @Option(help: ArgumentHelp("smoke, quick, study or paper.", valueName: "name"), completion: .list(Scale.all.map(\.name)),
            transform: { try choose($0, "scale", from: Scale.all.map { ($0.name, $0) }) })
    var scale: Scale?

    @OptionGroup var source: DataOptions

    @Option(help: ArgumentHelp("Seeds, counted from --first-seed. (default: the scale's)", valueName: "n"))
    var seeds: Int?

    @Option(help: ArgumentHelp("The first seed.", valueName: "n"))
    var firstSeed: UInt64 = 1

    @Option(help: ArgumentHelp("test, or dev: training images that no client gets.", valueName: "split"),
            completion: .list(EvaluationSplit.choices),
            transform: { try parsed($0, as: RunConfiguration.declarations.evaluateOn) })
    var evaluateOn = EvaluationSplit.test

    @Option(help: ArgumentHelp("Do part I of N only; fedclamp merge joins the parts.", valueName: "i/n"),
            transform: { try Shard(parsing: $0) })
    var shard: Shard?

    @Option(help: ArgumentHelp("Compute this row only; may be repeated. What the folder has of the others stays.", valueName: "name"))
    var row: [String] = []

    @Option(help: ArgumentHelp("Compute this column only; may be repeated.", valueName: "name"))
    var column: [String] = []

    @Flag(help: "Keep what an older revision of a rule, trigger or defence computed, instead of computing it again.")
    var keepStale = false

    @Flag(help: "Print the trainings with their passes and estimated time; compute and write nothing.")
    var list = false

    @OptionGroup(title: "your own methods") var rows: RowOptions

    @Option(help: ArgumentHelp("Folder of results.", valueName: "dir"), completion: .directory)
    var out: String

    @OptionGroup var machine: MachineOptions

    @Option(help: ArgumentHelp("Read options from a file.", valueName: "file"), completion: .file())
    var config: String?

    /// Part `index` of `count`, from 1.
    struct Shard {
        var index: Int, count: Int

        init(parsing text: String) throws {
            let parts = text.split(separator: "/").map { Int($0) }
            guard parts.count == 2, let i = parts[0], let n = parts[1], n >= 1, n <= 10_000, (1...n).contains(i) else {
                throw Failure.usage("--shard \(text): expected I/N with I from 1 to N")
            }
            (index, count) = (i, n)
        }
    }

    static func tables(_ name: String) throws -> [String] {
        if name == "all" { return Tables.names }
        if let tables = Tables.groups[name] { return tables }
        return [try choose(name, "table", from: choices.map { ($0, $0) })]
    }

    /// What may stand for tables.
    static let choices = Tables.names + Tables.groups.keys.sorted() + ["all"]

    func run() throws {
        let threads = try machine.threadCount(), isa = try machine.instructionSet(), scale = scale ?? .smoke
        let count = seeds ?? scale.seeds
        guard (1...1000).contains(count) else { throw Failure.usage("--seeds \(count): expected a number from 1 to 1000") }
        let own = try rows.methods(beside: "\(out)/results")
        let folder = ResultFolder(out)
        let begun = try folder.setting()
        let loaded = try source.load(holdout: scale.holdout)
        let wanted = Set(chosen.isEmpty ? [MainTable.name] : chosen.flatMap { $0 })
        let setting = Setting(scale: scale.name, dataset: loaded.dataset.name, datasetDigest: loaded.dataset.digest, synthetic: loaded.syntheticName,
                              syntheticDigest: loaded.generated?.digest ?? loaded.syntheticName,
                              syntheticImages: loaded.generated?.set.count ?? RunData.holdout(ifAny: loaded.syntheticName) ?? 0, evaluateOn: evaluateOn,
                              tables: Tables.names.filter(wanted.contains), seeds: (0..<UInt64(count)).map { firstSeed &+ $0 }, own: own)
        let part = Plan.Part(rows: row, columns: column), plan = try Plan(setting, only: part), sizes = DataSizes(train: loaded.dataset.train.count, test: loaded.dataset.test.count, generated: loaded.generated?.set.count)
        let trainings = shard.map { plan.shard($0.index, of: $0.count, sizes) } ?? plan.trainings
        loaded.remarks.forEach(note)
        if list { return output(try listing(plan, trainings, sizes, begun == nil ? nil : folder, threads, isa)) }

        try folder.make()
        try OutputLock.take(folder: out)
        let joined = try folder.adopt(setting)
        let experiment = Experiment(plan, folder, loaded.dataset, loaded.generated, threads: threads, isa: isa)
        experiment.keepsStale = keepStale
        let open = try trainings.filter { try !folder.isFinished($0, keepsStale: keepStale) }
        for (title, why) in try trainings.compactMap({ training in try folder.stale(training).map { (plan.title(of: training), $0) } }) {
            note("\(keepStale ? "stale, kept" : "stale, computed again"): \(title): \(why)")
        }
        note("\(setting.tables.joined(separator: " ")), scale \(scale.name): \(trainings.count) trainings, \(trainings.count - open.count) of them finished before; "
            + "\(Numbers.passes(open.reduce(0) { $0 + $1.passes(sizes) })) image passes to do on \(threads) threads, \(isa.rawValue)")
        try work(experiment, trainings)
        try ResultPrinter(folder, joined).finish(wanted: setting.tables, failures: experiment.failures, isShard: shard != nil, isPart: !part.isWhole)
    }

    private func work(_ experiment: Experiment, _ trainings: [Training]) throws {
        let progress = Progress()
        Signals.stopAfterStep()
        experiment.stopSignal = { Signals.stop }
        experiment.onProgress = { now in
            let reading = now.latest.map(Progress.reading) ?? ""
            progress.update("\(now.number)/\(now.count) \(now.title)" + (now.phase.isEmpty ? "" : ": \(now.phase)"), done: now.done, total: now.total, reading: reading)
            guard now.finished else { return }
            let remaining = now.number < now.count ? progress.remaining : ""
            progress.line(["\(now.number)/\(now.count)", now.title, reading.isEmpty ? "failed" : reading, remaining].filter { !$0.isEmpty }.joined(separator: "  "))
        }
        defer { progress.finish() }
        try experiment.run(trainings)
    }

    /// The trainings with passes and estimated time, measured for a second on this machine.
    private func listing(_ plan: Plan, _ trainings: [Training], _ sizes: DataSizes, _ folder: ResultFolder?, _ threads: Int, _ isa: InstructionSet) throws -> String {
        let rate = Throughput(isa, threads: threads).trainingRate(seconds: 1)
        var table = TextTable([.right, .left, .left, .left])
        table.add(["", "training", "defences on its model", "tables", "passes", "estimate", ""])
        var total = 0.0, open = 0.0
        for (at, training) in trainings.enumerated() {
            let passes = training.passes(sizes), finished = try folder?.isFinished(training, keepsStale: keepStale) ?? false
            let stale = try folder?.stale(training).map { "stale: \($0)" } ?? ""
            total += passes
            open += finished ? 0 : passes
            table.add(["\(at + 1)", plan.title(of: training), named(training.defenses), training.tables.joined(separator: " "),
                       Numbers.passes(passes), Numbers.duration(passes / rate), finished && stale.isEmpty ? "finished" : stale])
        }
        let lines = table.rendered() + ["", "\(trainings.count) trainings, \(Numbers.passes(total)) image passes; to do: \(Numbers.passes(open)), about \(Numbers.duration(open / rate)) "
            + "at \(Numbers.fixed(rate, 0)) passes a second (\(threads) threads, \(isa.rawValue), measured just now)"]
        return lines.joined(separator: "\n")
    }

    /// The names, the variants of the bound fit counted only.
    private func named(_ defenses: [String]) -> String {
        let plain = defenses.filter { ModelDefenses.names.contains($0) || OwnMethod($0) != nil }.map(OwnMethod.shown), variants = defenses.count - plain.count
        return (plain + (variants > 0 ? ["and \(variants) bounds:NAME"] : [])).joined(separator: " ")
    }
}
