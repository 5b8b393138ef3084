import Attacks
import Bounds
import Datasets
import DefenseInterface
import Defenses
import Detection
import Federation
import HDF5
import Network
import OwnMethods

/// Trains what a plan lacks, one training after the other (its clients side by side), into a folder of results.
public final class Experiment {
    public struct Progress: Sendable {
        /// Of the trainings to do in this call, from 1.
        public var number: Int, count: Int
        public var title: String
        public var phase: String
        /// Image passes, over all of them.
        public var done: Double, total: Double
        public var latest: HistoryRow?
        /// Set once a training is finished.
        public var finished: Bool
    }

    private let plan: Plan, folder: ResultFolder
    private let dataset: Dataset, generated: UnnamedSplit?
    private let threads: Int, isa: InstructionSet
    private let sizes: DataSizes

    public var onProgress: (Progress) -> Void = { _ in }
    public var stopSignal: () -> Int32? = { nil }
    /// Where the data lie, for the cells, from which a run can go on alone.
    public var data = "", synthetic = ""
    /// Whether what an older revision of the program computed is left as it is.
    public var keepsStale = false
    /// Trainings that could not be done, and why: their cells stay empty.
    public private(set) var failures: [(title: String, reason: String)] = []

    public init(_ plan: Plan, _ folder: ResultFolder, _ dataset: Dataset, _ generated: UnnamedSplit?, threads: Int, isa: InstructionSet) {
        (self.plan, self.folder, self.dataset, self.generated) = (plan, folder, dataset, generated)
        (self.threads, self.isa) = (threads, isa)
        sizes = DataSizes(train: dataset.train.count, test: dataset.test.count, generated: generated?.set.count)
    }

    /// Whether the data can be divided as each training that is not finished wants it, which shows before the first is trained. Seeds are
    /// alike in that: the first stands for all.
    ///
    /// - Throws: `PlanError` with the first that cannot be.
    public func check(_ trainings: [Training]) throws {
        for training in trainings where training.configuration.seed == plan.seeds.first {
            guard try !folder.isFinished(training, keepsStale: keepsStale) else { continue }
            var configuration = training.configuration
            configuration.defenses += training.defenses
            configuration.isa = isa.rawValue
            do {
                try FederatedRun.check(configuration, dataset, generated)
            } catch let error where !Self.isOfTheCell(error) {
                throw PlanError(training: plan.title(of: training), reason: error)
            } catch {}
        }
    }

    /// Does the trainings that are not finished yet. A training whose rule or numbers fail (too few clients, divergence)
    /// is noted in `failures`; other errors end the work, which a second call goes on with.
    public func run(_ trainings: [Training]) throws {
        let open = try trainings.filter { try !folder.isFinished($0, keepsStale: keepsStale) }
        let total = open.reduce(0) { $0 + $1.passes(sizes) }
        var done = 0.0
        for (at, training) in open.enumerated() {
            if let signal = stopSignal() { throw RunError.interrupted(signal: signal) }
            let title = plan.title(of: training), share = training.passes(sizes), before = done
            func report(_ phase: String, _ part: Double, _ latest: HistoryRow?, finished: Bool = false) {
                onProgress(
                    Progress(
                        number: at + 1, count: open.count, title: title, phase: phase, done: before + share * min(1, part), total: total,
                        latest: latest, finished: finished))
            }
            var latest: HistoryRow?
            do {
                latest = try train(training) { report($0.phase, $0.done / max(1, $0.total), $0.latest) }
            } catch let error where Self.isOfTheCell(error) {
                failures.append((title, "\(error)"))
            }
            done += share
            report("", 1, latest, finished: true)
        }
    }

    private static func isOfTheCell(_ error: any Error) -> Bool {
        if case RunError.diverged = error { return true }
        return error is DefenseError || error is OwnMethodError
    }

    /// Starts or resumes a training and measures its floors; the last row of its history.
    private func train(_ training: Training, _ report: @escaping (RunProgress) -> Void) throws -> HistoryRow? {
        let path = folder.cell(training.key), found = try folder.record(training)
        let isStale = keepsStale ? false : found?.stale(training) != nil,
            record = found.flatMap { !isStale && $0.allows(training.defenses) ? $0 : nil }
        var configuration = training.configuration
        configuration.defenses += training.defenses + (record?.kept(beside: training.defenses) ?? [])
        (configuration.isa, configuration.data) = (isa.rawValue, data)
        if generated != nil { configuration.synthetic = synthetic }
        if let recorded = record?.instructionSet, recorded != isa.rawValue { configuration.isa = try resumable(recorded, path) }
        let run = try FederatedRun(configuration, data(configuration), threads: threads)
        if let record {
            try RunFile.restore(run, from: path)
            if !keepsStale { run.forget(record.staleDefenses(training).map(\.name)) }
        }
        run.measuresMemory = true
        run.stopSignal = stopSignal
        run.onProgress = report
        run.onCheckpoint = { try RunFile.write($0, to: path) }
        if record?.finishedRounds ?? 0 <= 0 { try takeOver(training, run) }
        try run.run()
        if isStale { try folder.removeMeasurements(of: training) }
        try measureFloors(training, run)
        try illustrate(training, run)
        return run.history.last
    }

    /// Where a defence on the FM data leaves no image out a training is the one without it: what that one has done is taken over.
    private func takeOver(_ training: Training, _ run: FederatedRun) throws {
        guard let judge = training.configuration.dataDefense else { return }
        var plain = training.configuration
        plain.defenses.removeAll { $0 == judge }
        let without = try plan.training(plain)
        guard let record = try folder.record(without), record.finishedRounds > 0, record.allows(training.defenses),
            record.instructionSet == run.configuration.isa
        else { return }
        try run.begin()
        guard run.state.distrusted.isEmpty else { return }
        plain = without.configuration
        plain.defenses += record.defenses
        plain.isa = record.instructionSet
        let other = try FederatedRun(plain, run.data, threads: threads)
        try RunFile.restore(other, from: folder.cell(without.key))
        try run.takeOver(other)
    }

    private func data(_ configuration: RunConfiguration) throws -> RunData {
        try RunData(configuration, dataset, generated, syntheticName: plan.base.synthetic)
    }

    /// A begun training keeps its instruction set.
    private func resumable(_ recorded: String, _ path: String) throws -> String {
        guard let set = InstructionSet(rawValue: recorded), InstructionSet.available.contains(set) else {
            throw RunError.incompatible("\(path) was begun with \(recorded), which this CPU cannot run; finish it elsewhere or remove it")
        }
        return recorded
    }

    private func illustrate(_ training: Training, _ run: FederatedRun) throws {
        guard training.isIllustrated, try folder.illustration(of: training) == nil,
            let model = run.defended.first(where: { $0.name == BoundFit.name })
        else { return }
        let server = Server(kernels: run.configuration.instructionSet.kernels, threads: threads)
        try Illustrator(run.data, run.state.backdoor(run.data.backdoor), classNames: dataset.classNames, server)
            .illustration(model.parameters, model.bounds)
            .write(to: folder.illustration(training.key))
    }

    private func measureFloors(_ training: Training, _ run: FederatedRun) throws {
        guard !training.probes.isEmpty else { return }
        var floors = try folder.floors(of: training)
        let server = Server(kernels: run.configuration.instructionSet.kernels, threads: threads)
        for probe in training.probes where floors[probe.name] == nil {
            var configuration = run.configuration
            try probe.apply(to: &configuration)
            let data = try data(configuration), model = run.defended.first { $0.identity == probe.defense }
            floors[probe.name] =
                server.evaluate(
                    model?.parameters ?? run.global, model?.bounds ?? Bounds(run.global.network), data.evaluation, data.backdoor
                ).attackSuccess
        }
        try folder.write(floors: floors, of: training)
    }
}
