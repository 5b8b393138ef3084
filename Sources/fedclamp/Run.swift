import ArgumentParser
import Attacks
import Datasets
import DefenseInterface
import Defenses
import Experiments
import Federation
import HDF5
import Network
import Numerics
import OwnMethods

struct Run: Configurable {
    static let required: [String] = []

    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Train a federation with the attack and the defences that you name, and write a run file.",
        discussion: Help.folded(
            """
            The run is saved after every round. --resume continues it, and ends with the same bits as a run that never stopped. \
            Give --resume only the options that change: more rounds, another defence on the model and its options, threads; --data and \
            --synthetic where the files are not where they were.

              fedclamp run --data data/fashion-mnist.h5 --synthetic data/fashion-mnist-fm.h5 --attack fm --defense bounds --out run.h5
              fedclamp run --data data/fashion-mnist.h5 --synthetic holdout:2000 --attack classic --defense multi-krum --rounds 5 --out run.h5
              fedclamp run --resume run.h5 --rounds 10 --defense bounds-unlearning
              fedclamp run --config run.conf --seed 2 --out run-2.h5

            A configuration file has lines "name = value" with the names of these options without dashes; # at the \
            beginning of a line or after white space starts a comment; defense may stand on several lines. Options of the command line win; \
            --no-NAME takes back a flag of the file, as in --no-resume.
            """))

    @Argument(
        help: ArgumentHelp("With --resume: the run file to continue. Options that are not given come from it.", valueName: "run.h5"),
        completion: .file())
    var file: String?

    @Option(help: ArgumentHelp("Data set, as import writes it.", valueName: "file.h5"), completion: .file())
    var data: String?

    @Option(
        help: ArgumentHelp(
            "FM data: images and labels at the root of a file, holdout:N for N training images that no client gets, or none for plain federated learning.",
            valueName: "file.h5|holdout:n|none"), completion: .file())
    var synthetic: String?

    @Option(help: ArgumentHelp("Run file to write. (default with --resume run.h5: that file)", valueName: "file.h5"), completion: .file())
    var out: String?

    @OptionGroup var options: RunOptions

    @Option(
        help: ArgumentHelp("Also write the FM data as the server has them, with triggers and false labels.", valueName: "file.h5"),
        completion: .file())
    var saveSynthetic: String?

    @Option(
        help: ArgumentHelp(
            "Also write a line of JSON for each round and defence to this file as soon as they finish.", valueName: "file.jsonl"),
        completion: .file())
    var log: String?

    @Flag(
        inversion: .prefixedNo,
        help:
            "Continue an existing run file. Options that are not given come from the file. If --out names no existing file, start a new run."
    )
    var resume = false

    @Flag(inversion: .prefixedNo, help: "Replace an existing run file.")
    var overwrite = false

    @OptionGroup var grants: GrantOptions

    @OptionGroup var machine: MachineOptions

    @Option(help: ArgumentHelp("Read options from a file.", valueName: "file"), completion: .file())
    var config: String?

    @Flag(inversion: .prefixedNo, help: "Results as one JSON object.")
    var json = false

    func run() throws {
        if resume, overwrite { throw Failure.usage("--resume --overwrite: expected at most one of them") }
        let threads = try machine.threadCount(), out = try outputPath()
        let stored = resume && exists(out) ? try storedConfiguration(out) : nil
        try grants.prepare(beside: out)
        var configuration = try configuration(stored, out)
        let data = configuration.data, synthetic = configuration.synthetic
        try configuration.validate()
        do { try FederatedRun.check(configuration) } catch let error as DefenseError { throw Failure.usage("\(error)") }
        if let n = SyntheticSource.holdout(ifAny: synthetic), n < 1 {
            throw Failure.usage("--synthetic \(synthetic): expected a file, or holdout:N with N images from 1")
        }
        if saveSynthetic != nil, SyntheticSource.isPlain(synthetic) {
            throw Failure.usage("--save-synthetic with --synthetic none: there are no FM data to save")
        }
        try requireWritable(out, replace: resume || overwrite, inputs: [data, synthetic].filter(exists), resumable: true)
        if let saveSynthetic {
            try requireWritable(saveSynthetic, replace: overwrite || resume, inputs: [data, synthetic].filter(exists) + [out])
        }
        if let log {
            try requireOther(
                log, "--log", than: [data, synthetic, out, saveSynthetic ?? "", config ?? "", Files.companion(of: out, ".lock")])
        }
        configuration.isa = try machine.instructionSet(recorded: stored?.isa).rawValue

        let (dataset, generated) = try loadData(data, synthetic)
        let run = try FederatedRun(configuration, RunData(configuration, dataset, generated, syntheticName: synthetic), threads: threads)
        if stored != nil { try RunFile.restore(run, from: out) }
        try run.requireOwnMethods()
        if let saveSynthetic { try saveHeld(run.data.synthetic, dataset.classNames, to: saveSynthetic) }
        let log = try log.map { try RunLog($0, run, out) }
        describe(run, dataset, resumes: stored != nil)
        try train(run, out, log)
        output(json ? RunReport(run, out).json.rendered() : RunReport(run, out).text)
    }

    /// Where the run is written: --out, or the file to go on with.
    private func outputPath() throws -> String {
        guard let file else {
            guard let out else { throw Failure.usage("Missing expected argument '--out <file.h5>'") }
            return out
        }
        guard resume, !overwrite else {
            throw Failure.usage("\(file): expected --resume before the name of a run file, or --out before that of a new one")
        }
        guard out == nil || out == file else {
            throw Failure.usage("--resume \(file) --out \(out ?? ""): expected one file: a resumed run is saved where it was")
        }
        guard exists(file) else { throw Failure.input("\(file): no such file, so there is nothing to resume") }
        return file
    }

    private func storedConfiguration(_ path: String) throws -> RunConfiguration {
        guard let stored = try Checkpoint(reading: path).configuration else {
            throw RunError.incompatible("\(path): expected a run file, got a checkpoint without the configuration of a run")
        }
        return stored
    }

    /// What is given, on top of what the run file at `path` has that is gone on with. A defence that is given joins those of the file.
    private func configuration(_ stored: RunConfiguration?, _ path: String) throws -> RunConfiguration {
        var configuration = try options.configuration(on: stored ?? RunConfiguration())
        try configuration.validate()
        try configuration.grantOwnMethods()
        if let stored { configuration.defenses = RunConfiguration.joined(stored.defenses, configuration.defenses) }
        let paths = try stored.map { try DataPaths(data, synthetic, else: $0, path) } ?? DataPaths(data, synthetic)
        (configuration.data, configuration.synthetic) = (paths.data, paths.synthetic)
        configuration.adaptToData()
        return configuration
    }

    private func train(_ run: FederatedRun, _ path: String, _ log: RunLog?) throws {
        let progress = Progress()
        var shown = run.history.last?.round, phase = ""
        Signals.stopAfterStep()
        run.stopSignal = { Signals.stop }
        run.onCheckpoint = { run in
            try RunFile.write(run, to: path)
            try log?.add(run)
        }
        run.onProgress = { now in
            progress.update(now)
            guard !progress.isTerminal else { return }
            if now.phase.hasPrefix("defence"), now.phase != phase { note(now.phase) }
            phase = now.phase
            guard let row = now.latest, row.round != shown else { return }
            shown = row.round
            let name = row.round == 0 ? "initialisation" : "round \(row.round)/\(run.configuration.rounds)"
            let loss = row.loss.isNaN ? "" : "loss \(Numbers.fixed(row.loss, 4))"
            note([name, Progress.reading(row), loss, progress.remaining].filter { !$0.isEmpty }.joined(separator: "  "))
        }
        defer { progress.finish() }
        try run.run()
    }

    /// What the user may not have meant, a line each: classes without images, the data set's own clients left out, options without effect.
    private func noteWhatIsOdd(_ run: FederatedRun, _ dataset: Dataset) {
        let c = run.configuration, empty = dataset.train.classCounts.indices.filter { dataset.train.classCounts[$0] == 0 }
        if !empty.isEmpty {
            let some = empty.prefix(8).map { "\($0)" }.joined(separator: ", ")
            note(
                "\(c.data): \(empty.count) of \(dataset.classNames.count) classes have no training image (\(some)\(empty.count > 8 ? ", ..." : ""))"
                    + (c.attack == .none
                        ? "" : c.target.classes.first(where: empty.contains).map { "; the target, \($0), is one of them" } ?? ""))
        }
        let owners = Set(dataset.train.clients ?? []).count
        if c.partition == .natural, owners > c.clients {
            note("\(c.clients) of the data set's own \(owners) clients take part; --clients \(owners) takes all")
        }
        noteAttackOfNobody(c)
        let idle = c.withoutEffect
        if !idle.isEmpty { note("without effect in this run: \(idle.map { "--\($0)" }.joined(separator: " "))") }
    }

    /// An attack in which one part does nothing.
    private func noteAttackOfNobody(_ c: RunConfiguration) {
        if c.attack.poisonsClients, c.malicious == 0 { note("\(c.attack.rawValue) attack with --malicious 0: no client attacks") }
        if c.attack.poisonsSynthetic, c.fmPoisonFraction == 0 {
            note("\(c.attack.rawValue) attack with --fm-poison-fraction 0: no FM image is poisoned")
        }
    }

    /// "target 0 (T-shirt)"; "targets 0 3 7" where there are several.
    static func text(of targets: Targets, _ classNames: [String]) -> String {
        guard targets.classes.count == 1 else { return "targets \(targets.classes.map { "\($0)" }.joined(separator: " "))" }
        return "target \(targets.first) (\(HDF5Error.oneLine(classNames[targets.first])))"
    }

    /// "fm attack, patch trigger, target 0 (T-shirt)".
    private func text(ofAttack c: RunConfiguration, _ classNames: [String]) -> String {
        guard c.attack != .none else { return "no attack" }
        let goal = c.allToAll ? "all to all" : Self.text(of: c.target, classNames)
        return "\(c.attack.rawValue) attack, \(OwnMethod.shown(c.trigger)) trigger, \(goal)"
            + (c.poisonLabel == .clean ? ", clean labels" : "")
            + (c[OwnUpdate.program].map { ", malicious update \(OwnMethod.shown($0))" } ?? "")
    }

    /// The arguments as resolved, to stderr.
    private func describe(_ run: FederatedRun, _ dataset: Dataset, resumes: Bool) {
        let c = run.configuration, images = run.data.clients.map(\.count)
        let least = images.min() ?? 0, most = Numbers.counted(images.max() ?? 0, "image")
        let share = least == images.max() ? most : "\(Numbers.grouped(least)) to \(most)"
        let attack = text(ofAttack: c, dataset.classNames)
        note(
            "\(HDF5Error.oneLine(dataset.name)): \(Experiments.Numbers.grouped(run.data.evaluation.count)) images to measure on; "
                + (SyntheticSource.isPlain(c.synthetic)
                    ? "no FM data: neither initialisation nor fusion"
                    : "FM data: \(Numbers.grouped(run.data.synthetic.count)) images of \(run.data.syntheticName)"))
        noteWhatIsOdd(run, dataset)
        note(
            "\(Numbers.counted(c.clients, "client")) with \(share), \(c.participants) a round, \(Numbers.counted(c.rounds, "round")); \(attack); defences: \(c.defenses.isEmpty ? "none" : OwnMethod.shown(c.defenses.joined(separator: " ")))"
        )
        note(
            "seed \(c.seed), \(c.isa), \(Numbers.counted(run.threads, "thread")), \(Numbers.passes(run.plannedPasses)) image passes"
                + (resumes ? "; resumed after round \(run.finishedRounds ?? 0)" : ""))
    }
}

/// Writes FM data as they are held: pixels stamped and rounded to 8 bits, labels as training sees them.
func saveHeld(_ samples: Samples, _ classNames: [String], to path: String) throws {
    let size = samples.set.imageBytes
    var pixels: [UInt8] = []
    pixels.reserveCapacity(samples.count * size)
    for i in 0..<samples.count {
        samples.withPixels(i) { image in
            for k in 0..<size { pixels.append(UInt8(max(0, min(255, (image[k] * 255).rounded())))) }
        }
    }
    let set = ImageSet(
        channels: samples.set.channels, height: samples.set.height, width: samples.set.width, classes: samples.set.classes,
        images: pixels, labels: (0..<samples.count).map { UInt16(samples.label($0)) })
    let split = UnnamedSplit(
        set: set, classNames: classNames,
        source: "FM data as the server held them: \(samples.poisonedPositions.count) of \(samples.count) images poisoned")
    try DatasetFile.write(split, name: "held FM data", to: path)
}
