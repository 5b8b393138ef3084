import ArgumentParser
import Experiments
import Federation

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

/// What the commands that compute tables have in common.
struct TableOptions: ParsableArguments {
    @OptionGroup var source: DataOptions

    @Option(help: ArgumentHelp("Seeds, counted from --first-seed. (default: the scale's, of a sweep 1)", valueName: "n"))
    var seeds: Int?

    @Option(help: ArgumentHelp("The first seed. (default: 1)", valueName: "n"))
    var firstSeed: UInt64?

    @Option(
        help: ArgumentHelp("test, or dev: training images that no client gets. (default: test)", valueName: "split"),
        completion: .list(EvaluationSplit.choices),
        transform: { try parsed($0, as: RunConfiguration.declarations.evaluateOn) })
    var evaluateOn: EvaluationSplit?

    @Option(
        help: ArgumentHelp("Do part I of N only; fedclamp merge joins the parts.", valueName: "i/n"),
        transform: { try Shard(parsing: $0) })
    var shard: Shard?

    @Option(help: ArgumentHelp("Compute this row only; may be repeated. What the folder has of the others stays.", valueName: "name"))
    var row: [String] = []

    @Option(help: ArgumentHelp("Compute this column only; may be repeated.", valueName: "name"))
    var column: [String] = []

    @Flag(
        inversion: .prefixedNo,
        help: "Keep what an older revision of a rule, trigger or defence computed, instead of computing it again.")
    var keepStale = false

    @Flag(inversion: .prefixedNo, help: "Print the trainings with their passes and estimated time; compute and write nothing.")
    var list = false

    static let seedLimits = 1...1000, expectedSeeds = "a number from 1 to 1000"

    /// The seeds that are asked for. Throws `Failure.usage`.
    func seeds(else standard: Int) throws -> [UInt64] {
        let count = seeds ?? standard
        guard Self.seedLimits.contains(count) else { throw Failure.usage("--seeds \(count): expected \(Self.expectedSeeds)") }
        return (0..<UInt64(count)).map { (firstSeed ?? 1) &+ $0 }
    }
}
