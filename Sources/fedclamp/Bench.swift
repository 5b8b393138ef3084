import ArgumentParser
import Defenses
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
              fedclamp bench --updates 100                  every rule, for a round of 100 clients
            """))

    @OptionGroup var machine: MachineOptions

    @Option(help: ArgumentHelp("Length of each measurement.", valueName: "s"))
    var seconds = 1.0

    @Option(help: ArgumentHelp("Measure the rules before aggregation instead, for a round of so many made-up updates.", valueName: "n"))
    var updates: Int?

    @Option(name: .customLong("defense"), help: ArgumentHelp("With updates: such a rule only; may be repeated.", valueName: "name"))
    var rules: [String] = []

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func run() throws {
        guard seconds > 0, seconds <= 600 else { throw Failure.usage("--seconds \(seconds): expected a number above 0, up to 600") }
        let threads = try machine.threadCount(), set = try machine.instructionSet()
        let checks = ReferenceCheck(channels: 3, classes: 10, threads: threads).run(set, threads: threads)
        if let bad = checks.first(where: { !$0.holds }) {
            throw Failure.check("\(set.rawValue): \(bad.name): error \(bad.error), at most \(bad.limit) expected; nothing was measured")
        }
        if let updates { return try measureRules(updates, set, threads) }
        let speeds = Self.counts(threads).map { Throughput(set, threads: $0).measure(seconds: seconds) }
        output(json ? rendered(speeds, set, checks.count).rendered() : text(speeds, set, checks.count))
    }

    private func measureRules(_ updates: Int, _ set: InstructionSet, _ threads: Int) throws {
        guard (1...1000).contains(updates) else { throw Failure.usage("--updates \(updates): expected a number from 1 to 1000") }
        let named = try rules.map { try choose($0, "rule", from: AggregationRules.all.map { ($0.name, $0) }) }
        let times = try RuleTimes(set, threads: threads, updates: updates)
            .measure(named.isEmpty ? AggregationRules.all : named, seconds: seconds)
        if json {
            let members: [(String, JSON)] = [
                ("cpu", .text(Throughput.cpuName)), ("instruction_set", .text(set.rawValue)), ("threads", .whole(threads)),
                ("updates", .whole(updates)), ("rules", .array(times.map { .object($0.members) })),
            ]
            return output(JSON.object(members).rendered())
        }
        var table = TextTable([.left])
        table.add(["rule", "seconds", "passed", "sha256"])
        for time in times { table.add([time.rule, Numbers.fixed(time.seconds, 4), "\(time.passed)", time.digest]) }
        let parameters = Numbers.grouped(ClampNet(channels: 3, classes: 10).parameterCount)
        output("CPU: \(Throughput.cpuName)\n\(set.rawValue), \(threads) threads, \(updates) updates of \(parameters) parameters\n")
        output(table.rendered().joined(separator: "\n"))
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
