import ArgumentParser
import Attacks
import Datasets
import Defenses
import Experiments
import Federation
import Network
import Numerics
import OwnMethods

struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evaluate",
        abstract: "Measure accuracy and attack success of a checkpoint on a data set's test images.",
        discussion: Help.folded(
            """
            The file's own /bounds are used when it has them, and its own attack unless --trigger names another. ASR is \
            measured on triggered images whose true class is not the target.

              fedclamp evaluate run.h5 --data data/fashion-mnist.h5
              fedclamp evaluate run.h5 --data data/fashion-mnist.h5 --trigger patch --target 0 --unbounded --json
              fedclamp evaluate run.h5 --data data/fashion-mnist.h5 --defended unlearning
            """))

    @Argument(help: ArgumentHelp("Run file, or any file with /model.", valueName: "checkpoint.h5"), completion: .file())
    var checkpoint: String

    @Option(help: ArgumentHelp("Data set, as import writes it.", valueName: "file.h5"), completion: .file())
    var data: String

    @Option(
        help: ArgumentHelp(
            "Trigger: \(Triggers.choices.joined(separator: ", ")), or your own, \(OwnMethod.expected([.trigger])). (default: the file's own)",
            valueName: "name"),
        completion: offered(Triggers.choices),
        transform: { try parsed($0, as: RunConfiguration.declarations.trigger) })
    var trigger: String?

    @Option(help: ArgumentHelp("Class that the backdoor leads to. (default: the file's own, else 0)", valueName: "class"))
    var target: Int?

    @Option(
        help: ArgumentHelp("Measure the model that this defence made, instead of /model and /bounds.", valueName: "name"),
        completion: .list(ModelDefenses.namesWithVariants),
        transform: { try parsed($0, as: RunConfiguration.declarations.defenses).joined(separator: " ") })
    var defended: String?

    @Option(help: ArgumentHelp(headHelp, valueName: "head"), transform: { try parsedHead($0).description })
    var head: String?

    @Flag(help: "Do not use the file's bounds.")
    var unbounded = false

    @OptionGroup var exec: ExecOptions

    @OptionGroup var machine: MachineOptions

    @Flag(help: "Results as one JSON object.")
    var json = false

    func run() throws {
        if let target, target < 0 { throw Failure.usage("--target \(target): expected a class from 0") }
        try exec.prepare(beside: "fedclamp-evaluate")
        let threads = try machine.threadCount(), set = try machine.instructionSet()
        let checkpoint = try Checkpoint(reading: checkpoint, defendedBy: defended, head: try head.map(parsedHead)),
            dataset = try DatasetFile.read(data), test = dataset.test
        let network = checkpoint.network
        guard test.channels == network.channels, test.classes == network.classes else {
            throw Failure.input(
                "\(self.checkpoint): the model takes \(network.channels) channels to \(network.classes) classes, \(data) has \(test.channels) channels and \(test.classes) classes"
            )
        }
        let images = Samples(test, normalization: checkpoint.normalization)
        let asked = try trigger.map { try RunConfiguration.grantTrigger($0) }
        let backdoor = try backdoor(checkpoint, asked, images.shape)
        if let backdoor { _ = try images.triggered(backdoor).prepared(flips: false) }
        let server = Server(kernels: set.kernels, threads: threads)
        let plain = server.evaluate(checkpoint.parameters, Bounds(network), images, backdoor)
        let bounded = unbounded ? nil : checkpoint.bounds.map { server.evaluate(checkpoint.parameters, $0, images, backdoor) }
        output(
            json
                ? rendered(plain, bounded, set).rendered()
                : text(plain, bounded, backdoor, named: asked ?? checkpoint.attack?.trigger, on: dataset, set))
    }

    /// The trigger asked for, else the file's own; nil where there is neither.
    private func backdoor(_ checkpoint: Checkpoint, _ trigger: String?, _ shape: ImageShape) throws -> Backdoor? {
        try target.map { Targets($0) }?.check(classes: checkpoint.network.classes)
        if trigger == nil, let own = try checkpoint.backdoor(shape) { return target.map(own.leading) ?? own }
        guard let name = trigger ?? (target == nil ? nil : PatchTrigger.name) else { return nil }
        let targets = target.map { Targets($0) } ?? checkpoint.attack.map { $0.targets } ?? 0
        return try Backdoor(Triggers.make(name, shape: shape, seed: checkpoint.seed), named: name, leadingTo: targets)
    }

    private func text(
        _ plain: Evaluation, _ bounded: Evaluation?, _ backdoor: Backdoor?, named trigger: String?, on dataset: Dataset,
        _ set: InstructionSet
    ) -> String {
        var table = TextTable()
        table.add(["model", "ACC", "ASR", "robust ACC"])
        for (name, e) in [("bounded", bounded), ("unbounded", plain)] {
            guard let e else { continue }
            table.add([name] + [e.accuracy, e.attackSuccess, e.robustAccuracy].map { Numbers.fixed($0, 4) })
        }
        var lines = table.rendered() + ["", "\(Numbers.grouped(plain.images)) test images of \(dataset.name); \(set.rawValue)"]
        if let backdoor {
            let name = OwnMethod.shown(trigger ?? type(of: backdoor.trigger).name)
            let goal = backdoor.targets.map { Run.text(of: $0, dataset.classNames) } ?? "all to all"
            lines.append("\(Numbers.grouped(plain.triggeredImages)) of them triggered: \(name), \(goal)")
        } else {
            lines.append("no attack in the file and no --trigger: ASR was not measured")
        }
        return lines.joined(separator: "\n")
    }

    private func rendered(_ plain: Evaluation, _ bounded: Evaluation?, _ set: InstructionSet) -> JSON {
        let main = bounded ?? plain
        var members: [(String, JSON)] = [
            ("accuracy", .number(main.accuracy)), ("attack_success_rate", .number(main.attackSuccess)),
            ("robust_accuracy", .number(main.robustAccuracy)), ("images", .whole(main.images)),
            ("triggered_images", .whole(main.triggeredImages)),
        ]
        if bounded != nil {
            members += [
                ("accuracy_unbounded", .number(plain.accuracy)), ("attack_success_rate_unbounded", .number(plain.attackSuccess)),
                ("robust_accuracy_unbounded", .number(plain.robustAccuracy)),
            ]
        }
        return .object(members + [("instruction_set", .text(set.rawValue))])
    }
}
