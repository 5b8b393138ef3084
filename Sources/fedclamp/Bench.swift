import ArgumentParser
import Experiments
import Network
import Numerics

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure training and forward passes on 1, 2, 4 ... threads, after checking their results.",
        discussion: Help.folded(
            """
            Training is one model to a thread with batches of 64, as clients train; beside it one model on all threads, as \
            the server trains. GFLOP/s count the operations of direct \
            convolutions (38.9 million multiply-adds for a forward pass, three times that for a training step); Winograd's \
            algorithm needs fewer, so the share of the measured peak may pass 100 %.

              fedclamp bench
              fedclamp bench --threads 2 --isa avx2 --json
            """))

    @OptionGroup var machine: MachineOptions

    @Option(help: ArgumentHelp("Length of each measurement.", valueName: "s"))
    var seconds = 1.0

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func run() throws {
        guard seconds > 0, seconds <= 600 else { throw Failure.usage("--seconds \(seconds): expected a number above 0, up to 600") }
        let threads = try machine.threadCount(), set = try machine.instructionSet()
        let checks = ReferenceCheck(channels: 3, classes: 10, threads: threads).run(set, threads: threads)
        if let bad = checks.first(where: { !$0.holds }) {
            throw Failure.check("\(set.rawValue): \(bad.name): error \(bad.error), at most \(bad.limit) expected; nothing was measured")
        }
        let speeds = Self.counts(threads).map { Throughput(set, threads: $0).measure(seconds: seconds) }
        output(json ? rendered(speeds, set, checks.count).rendered() : text(speeds, set, checks.count))
    }

    /// 1, 2, 4 ... up to `most`, and `most`.
    private static func counts(_ most: Int) -> [Int] {
        var counts = [1]
        while let last = counts.last, last * 2 < most { counts.append(last * 2) }
        return most > 1 ? counts + [most] : counts
    }

    private func text(_ speeds: [Throughput.Speed], _ set: InstructionSet, _ checks: Int) -> String {
        var table = TextTable([.right])
        table.add([
            "threads", "train images/s", "GFLOP/s", "of peak", "one model", "forward images/s", "GFLOP/s", "of peak", "peak GFLOP/s",
        ])
        for speed in speeds {
            table.add([
                "\(speed.threads)", Numbers.fixed(speed.training, 0), Numbers.fixed(speed.trainingFlops / 1e9, 1),
                Numbers.fixed(100 * speed.trainingFlops / speed.peak, 0) + " %",
                Numbers.fixed(speed.oneModel, 0), Numbers.fixed(speed.forward, 0),
                Numbers.fixed(speed.forwardFlops / 1e9, 1), Numbers.fixed(100 * speed.forwardFlops / speed.peak, 0) + " %",
                Numbers.fixed(speed.peak / 1e9, 1),
            ])
        }
        return [
            "CPU: \(Throughput.cpuName)",
            "verified: \(checks) of \(checks) checks hold for \(set.rawValue); batch \(Throughput.batch), 3x32x32 images, 10 classes", "",
        ]
        .joined(separator: "\n") + "\n" + table.rendered().joined(separator: "\n")
    }

    private func rendered(_ speeds: [Throughput.Speed], _ set: InstructionSet, _ checks: Int) -> JSON {
        .object([
            ("cpu", .text(Throughput.cpuName)), ("instruction_set", .text(set.rawValue)), ("checks_passed", .whole(checks)),
            ("multiply_adds_forward", .whole(ClampNet(channels: 3, classes: 10).multiplyAdds)), ("batch", .whole(Throughput.batch)),
            ("results", .array(speeds.map { .object($0.members) })),
        ])
    }
}
