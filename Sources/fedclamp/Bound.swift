import ArgumentParser
import Attacks
import Bounds
import Datasets
import DefenseInterface
import Defenses
import Experiments
import Federation
import Network
import Numerics

struct Bound: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bound",
        abstract: "Fit activation bounds to a finished model on FM data; its parameters do not change.",
        discussion: Help.folded(
            """
            The FM data are taken as they are, poisoned or not; nothing is stamped. What the fit found out is printed: the \
            class that looks attacked, the images set aside, how far the bounds cut. A run file also has the model before round 1, \
            from which the search for triggers of malicious clients makes a twin to compare with; where it is missing, classes are compared. \
            Bounds that the file has already are left aside.

              fedclamp bound run.h5 --synthetic data/fashion-mnist-fm.h5 --out bounded.h5
              fedclamp evaluate bounded.h5 --data data/fashion-mnist.h5
            """))

    @Argument(help: ArgumentHelp("Run file, or any file with /model.", valueName: "checkpoint.h5"), completion: .file())
    var checkpoint: String

    @Option(help: ArgumentHelp("FM data: images and labels at the root of a file.", valueName: "file.h5"), completion: .file())
    var synthetic: String

    @Option(help: ArgumentHelp("File to write: the model with its bounds.", valueName: "file.h5"), completion: .file())
    var out: String

    @Option(
        help: ArgumentHelp(
            "bounds, or bounds-paper: the paper's Algorithm 1, as many updates as the run had rounds, all on this model.", valueName: "name"
        ),
        completion: .list(Bound.methods),
        transform: { try choose($0, "method", from: Bound.methods.map { ($0, $0) }) })
    var method = BoundFit.name

    @Option(help: ArgumentHelp(headHelp, valueName: "head"), transform: { try parsedHead($0).description })
    var head: String?

    @Option(help: ArgumentHelp("The seed of the fit. (default: the run's, else 1)", valueName: "n"))
    var seed: UInt64?

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    @OptionGroup var machine: MachineOptions

    @Flag(help: "The findings as one JSON object.")
    var json = false

    static let methods = ModelDefenses.all.filter { $0.handsOutBounds }.map { $0.name }

    func run() throws {
        let threads = try machine.threadCount(), set = try machine.instructionSet()
        try requireWritable(out, replace: overwrite, inputs: [checkpoint, synthetic])
        let model = try Checkpoint(reading: checkpoint, head: try head.map(parsedHead)),
            data = try DatasetFile.readUnnamedSplit(synthetic, classes: model.network.classes).set
        guard data.channels == model.network.channels, data.classes <= model.network.classes else {
            throw Failure.input(
                "\(synthetic): \(data.channels) channels and \(data.classes) classes, the model of \(checkpoint) takes \(model.network.channels) channels to \(model.network.classes) classes"
            )
        }
        guard let defense = ModelDefenses.make(method) else { return }
        let images = ImageSet(
            channels: data.channels, height: data.height, width: data.width, classes: model.network.classes,
            images: data.images, labels: data.labels)
        var context = DefenseContext(
            synthetic: Samples(images, normalization: model.normalization), initial: model.initial, kernels: set.kernels, threads: threads,
            seed: seed ?? model.seed)
        if defense is any RoundDefense { context.round = model.configuration?.rounds ?? RunConfiguration().rounds }
        try type(of: defense).check(context.synthetic, for: model.network, in: synthetic)
        let begin = monotonicSeconds()
        let outcome = try defense.apply(model.parameters, context)
        let seconds = monotonicSeconds() - begin
        try model.write(bounds: outcome.bounds, audit: outcome.audit, to: out)
        output(json ? rendered(outcome, seconds).rendered() : text(outcome, seconds, data.count, replacing: model.bounds != nil))
    }

    private func text(_ outcome: DefenseOutcome, _ seconds: Double, _ images: Int, replacing: Bool) -> String {
        var table = TextTable([.left, .left])
        for finding in outcome.audit { table.add([finding.name, finding.value]) }
        return
            ([
                "\(method) fitted on \(Numbers.grouped(images)) FM images in \(Numbers.fixed(seconds, 1)) s, \(Numbers.passes(outcome.passes)) image passes"
            ]
            + table.rendered(indent: 2) + (replacing ? ["\(checkpoint) had bounds already; they were not used, and are not in \(out)"] : [])
            + ["wrote \(out)"]).joined(separator: "\n")
    }

    private func rendered(_ outcome: DefenseOutcome, _ seconds: Double) -> JSON {
        .object([
            ("method", .text(method)), ("seconds", .number(seconds)), ("passes", .number(outcome.passes)),
            ("audit", .object(outcome.audit.map { ($0.name, .text($0.value)) })), ("out", .text(out)),
        ])
    }
}
