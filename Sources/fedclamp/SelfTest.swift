import ArgumentParser
import Experiments
import Federation
import Network
import Numerics

struct SelfTest: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "selftest",
        abstract: "Check this CPU: kernels of every instruction set against a plain reference, and their throughput.",
        discussion: Help.folded(
            """
            Logits, and the gradient of every tensor and of every layer's bounds, are compared with a network written in \
            plain double-precision loops. Exit code 1 when one differs by more than float32 explains.

              fedclamp selftest
              fedclamp selftest --quick --json
            """))

    @OptionGroup var machine: MachineOptions

    @Flag(help: "One network instead of two, one image instead of three, no throughput: for emulators.")
    var quick = false

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func run() throws {
        let threads = try machine.threadCount(), chosen = try machine.instructionSet()
        let networks: [(channels: Int, classes: Int, head: Head)] =
            (quick ? [] : [(3, 10, .none)]) + [(1, 40, try Head(pairs: 3, width: 192))]
        let references = networks.map {
            ReferenceCheck(channels: $0.channels, classes: $0.classes, head: $0.head, threads: threads, images: quick ? 1 : 3)
        }
        let results = InstructionSet.available.map { set in
            Result(
                set: set, checks: references.flatMap { $0.run(set, threads: threads) },
                speed: quick ? nil : Throughput(set, threads: threads).measure(seconds: 0.4))
        }
        output(json ? rendered(results, chosen, threads).rendered() : text(results, chosen, threads))
        let failed = results.flatMap(\.failed)
        guard failed.isEmpty else { throw Failure.check("\(failed.count) checks did not hold, first: \(failed[0])") }
    }

    private struct Result {
        var set: InstructionSet, checks: [KernelCheck], speed: Throughput.Speed?
        /// The check nearest to its limit, or over it.
        var worst: KernelCheck? { checks.max { !($0.error / $0.limit >= $1.error / $1.limit) } }
        var failed: [String] {
            checks.filter { !$0.holds }.map { "\(set.rawValue): \($0.name): error \($0.error), at most \($0.limit) expected" }
        }
    }

    private func text(_ results: [Result], _ chosen: InstructionSet, _ threads: Int) -> String {
        var table = TextTable([.left, .left, .right, .left])
        table.add(["set", "checks", "worst", "of limit"] + (quick ? [] : ["peak GFLOP/s", "train images/s", "forward images/s"]))
        for result in results {
            let worst = result.worst.map { Numbers.fixed(100 * $0.error / $0.limit, 1) + " %" } ?? "-"
            let count = "\(result.checks.count - result.failed.count) of \(result.checks.count) hold"
            let speed =
                result.speed.map { [Numbers.fixed($0.peak / 1e9, 0), Numbers.fixed($0.training, 0), Numbers.fixed($0.forward, 0)] } ?? []
            table.add([result.set.rawValue + (result.set == chosen ? " *" : ""), count, worst, result.worst?.name ?? ""] + speed)
        }
        let head = "CPU: \(Throughput.cpuName); \(MachineOptions.cores) cores for this process, \(threads) threads used"
        return
            ([head, "instruction sets: \(MachineOptions.sets); chosen: \(chosen.rawValue)", ""] + table.rendered()
            + results.flatMap(\.failed).map { "FAILED " + $0 }).joined(separator: "\n")
    }

    private func rendered(_ results: [Result], _ chosen: InstructionSet, _ threads: Int) -> JSON {
        .object([
            ("cpu", .text(Throughput.cpuName)), ("cores", .whole(MachineOptions.cores)), ("threads", .whole(threads)),
            ("instruction_sets", .array(InstructionSet.available.map { .text($0.rawValue) })), ("chosen", .text(chosen.rawValue)),
            ("passed", .flag(results.allSatisfy(\.failed.isEmpty))),
            (
                "results",
                .array(
                    results.map { result in
                        .object(
                            [
                                ("instruction_set", .text(result.set.rawValue)),
                                (
                                    "checks",
                                    .array(
                                        result.checks.map { check in
                                            .object([
                                                ("name", .text(check.name)), ("error", .number(check.error)),
                                                ("limit", .number(check.limit)), ("holds", .flag(check.holds)),
                                            ])
                                        })
                                ),
                            ] + (result.speed?.members ?? []))
                    })
            ),
        ])
    }
}
