import Datasets
import Defenses
import Experiments
import Federation
import Network
import Numerics
import Options
import OwnMethods

/// Computes tables into a folder, as `reproduce` and `sweep` do: all that is wrong in options shows before data are read, and all that does
/// not fit the data before anything is trained.
struct TableWork {
    let options: TableOptions, machine: MachineOptions, out: String
    let scale: Scale, tables: [String], grid: Grid
    /// What a wrong option of the grid is for the command: its line, or its file.
    let blame: (any Error) -> any Error

    /// - Parameter own: names a user's own methods that get rows.
    func run(own: () throws -> [OwnMethod]) throws {
        let threads = try machine.threadCount(), isa = try machine.instructionSet(), seeds = try options.seeds(else: scale.seeds)
        try blaming { try planWithoutData(grid, [], Array(seeds.prefix(1))).checkGrid() }
        let own = try own(), granted = try blaming { try grid.granted() }
        let planned = try planWithoutData(granted, own, Array(seeds.prefix(1)))
        try blaming {
            try planned.checkGrid()
            try planned.checkOptions()
        }
        try planned.checkOwn()
        let folder = ResultFolder(out), begun = try folder.setting()
        let loaded = try options.source.load(holdout: scale.holdout, allowsNone: scale.name == Scale.sweep.name)
        let setting = Setting(
            scale: scale.name, dataset: loaded.dataset.name, datasetDigest: loaded.dataset.digest, synthetic: loaded.syntheticName,
            syntheticDigest: loaded.generated?.digest ?? loaded.syntheticName,
            syntheticImages: loaded.generated?.set.count ?? SyntheticSource.holdout(ifAny: loaded.syntheticName) ?? 0,
            evaluateOn: options.evaluateOn ?? .test, tables: tables, seeds: seeds, own: own, grid: granted)
        let part = Plan.Part(rows: options.row, columns: options.column), plan = try Plan(setting, only: part)
        try blaming { try plan.checkOptions(classes: loaded.dataset.train.classes) }
        let sizes = DataSizes(train: loaded.dataset.train.count, test: loaded.dataset.test.count, generated: loaded.generated?.set.count)
        let trainings = options.shard.map { plan.shard($0.index, of: $0.count, sizes) } ?? plan.trainings
        loaded.remarks.forEach(note)
        let experiment = Experiment(plan, folder, loaded.dataset, loaded.generated, threads: threads, isa: isa)
        experiment.keepsStale = options.keepStale
        (experiment.data, experiment.synthetic) = (loaded.data, loaded.synthetic)
        try blaming { try experiment.check(trainings) }
        if options.list {
            let listing = TableListing(plan, sizes, threads, isa)
            return output(try listing.text(trainings, begun == nil ? nil : folder, keepsStale: options.keepStale))
        }

        try folder.make()
        try OutputLock.take(folder: out)
        let joined = try folder.adopt(setting)
        try announce(trainings, of: plan, in: folder, sizes, on: "\(Numbers.counted(threads, "thread")), \(isa.rawValue)")
        try work(experiment, trainings)
        try ResultPrinter(folder, joined).finish(
            wanted: tables, failures: experiment.failures, isShard: options.shard != nil, isPart: !part.isWhole)
    }

    private func blaming<T>(_ body: () throws -> T) throws -> T {
        do { return try body() } catch { throw blame(error) }
    }

    /// Before the data are there: as many FM images as any cell wants.
    private func planWithoutData(_ grid: Grid, _ own: [OwnMethod], _ seeds: [UInt64]) throws -> Plan {
        try Plan(
            Setting(
                scale: scale.name, dataset: "", datasetDigest: "", synthetic: options.source.synthetic ?? "", syntheticDigest: "",
                syntheticImages: .max, evaluateOn: options.evaluateOn ?? .test, tables: tables, seeds: seeds, own: own, grid: grid))
    }

    private func announce(_ trainings: [Training], of plan: Plan, in folder: ResultFolder, _ sizes: DataSizes, on machine: String) throws {
        let open = try trainings.filter { try !folder.isFinished($0, keepsStale: options.keepStale) }
        for (title, why) in try trainings.compactMap({ training in try folder.stale(training).map { (plan.title(of: training), $0) } }) {
            note("\(options.keepStale ? "stale, kept" : "stale, computed again"): \(title): \(why)")
        }
        let isSweep = scale.name == Scale.sweep.name,
            changes = grid.options.map { "\($0.name) \(OwnMethod.shown($0.text))" }.joined(separator: ", ")
        let what = isSweep ? "with \(changes)" : "scale \(scale.name)" + (grid.isEmpty ? "" : " with \(changes)")
        note(
            "\(tables.joined(separator: " ")), \(what): \(Numbers.counted(trainings.count, "training")), \(trainings.count - open.count) of them finished before; "
                + "\(Numbers.passes(open.reduce(0) { $0 + $1.passes(sizes) })) image passes to do on \(machine)")
    }

    private func work(_ experiment: Experiment, _ trainings: [Training]) throws {
        let progress = Progress()
        Signals.stopAfterStep()
        experiment.stopSignal = { Signals.stop }
        experiment.onProgress = { now in
            let reading = now.latest.map(Progress.reading) ?? ""
            progress.update(
                "\(now.number)/\(now.count) \(now.title)" + (now.phase.isEmpty ? "" : ": \(now.phase)"), done: now.done, total: now.total,
                reading: reading)
            guard now.finished else { return }
            let remaining = now.number < now.count ? progress.remaining : ""
            progress.line(
                ["\(now.number)/\(now.count)", now.title, reading.isEmpty ? "failed" : reading, remaining].filter { !$0.isEmpty }.joined(
                    separator: "  "))
        }
        defer { progress.finish() }
        try experiment.run(trainings)
    }
}

/// `--list`: the trainings with passes and estimated time, measured for a second on this machine.
struct TableListing {
    private let plan: Plan, sizes: DataSizes, threads: Int, isa: InstructionSet

    init(_ plan: Plan, _ sizes: DataSizes, _ threads: Int, _ isa: InstructionSet) {
        (self.plan, self.sizes, self.threads, self.isa) = (plan, sizes, threads, isa)
    }

    /// - Parameter folder: of earlier results; nil where there are none.
    func text(_ trainings: [Training], _ folder: ResultFolder?, keepsStale: Bool) throws -> String {
        let rate = Throughput(isa, threads: threads).trainingRate(seconds: 1)
        var table = TextTable([.right, .left, .left, .left])
        table.add(["", "training", "defences on its model", "tables", "passes", "estimate", ""])
        var total = 0.0, open = 0.0
        for (at, training) in trainings.enumerated() {
            let passes = training.passes(sizes), finished = try folder?.isFinished(training, keepsStale: keepsStale) ?? false
            let stale = try folder?.stale(training).map { "stale: \($0)" } ?? ""
            total += passes
            open += finished ? 0 : passes
            table.add([
                "\(at + 1)", plan.title(of: training), named(training.defenses), training.tables.joined(separator: " "),
                Numbers.passes(passes), Numbers.duration(passes / rate), finished && stale.isEmpty ? "finished" : stale,
            ])
        }
        let lines =
            table.rendered() + [
                "",
                "\(Numbers.counted(trainings.count, "training")), \(Numbers.passes(total)) image passes; to do: \(Numbers.passes(open)), about \(Numbers.duration(open / rate)) "
                    + "at \(Numbers.fixed(rate, 0)) passes a second (\(Numbers.counted(threads, "thread")), \(isa.rawValue), measured just now)",
            ]
        return lines.joined(separator: "\n")
    }

    /// The names, the variants of the bound fit counted only.
    private func named(_ defenses: [String]) -> String {
        let plain = defenses.filter { ModelDefenses.names.contains($0) || OwnMethod($0) != nil }.map(OwnMethod.shown),
            variants = defenses.count - plain.count
        return (plain + (variants > 0 ? ["and \(variants) bounds:NAME"] : [])).joined(separator: " ")
    }
}
