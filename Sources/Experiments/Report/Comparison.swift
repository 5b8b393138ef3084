import Federation
import HDF5
import OwnMethods

/// Runs side by side: the options that differ, what was measured, and the curves over the rounds.
public struct Comparison: Sendable {
    /// A run as its file tells it.
    public struct Run: Sendable {
        public var path: String
        /// The file's name, or its path where two have the same name.
        public var name: String
        public var configuration: RunConfiguration
        public var dataset: String, finishedRounds: Int
        /// Of the global model, of what defences on the model left, and of clients' own models, by name; NaN for what was not measured.
        public var models: [(name: String, accuracy: Double, attackSuccess: Double)]
        public var history: [(round: Int, accuracy: Double, attackSuccess: Double)] {
            curve.rounds.indices.map { (curve.rounds[$0], curve.accuracy[$0], curve.attackSuccess[$0]) }
        }
        var curve: Curve
        fileprivate var datasetDigest: String, synthetic: String, syntheticDigest: String

        public var isAttacked: Bool { configuration.attack != .none }
    }

    public let runs: [Run]

    /// - Throws: `HDF5Error`, `RunError.incompatible` for what is not a run file.
    public init(_ paths: [String]) throws {
        var runs = try paths.map(Run.init)
        let names = runs.map(\.name)
        for at in runs.indices where names.filter({ $0 == names[at] }).count > 1 { runs[at].name = Files.shown(paths[at]) }
        self.runs = runs
    }

    /// Options that not all runs have alike, in their order in help, with the value of each run. Data sets and FM data are told apart by
    /// what
    /// they hold, not by where they lie.
    public var differences: [TableOption] {
        let all = RunConfiguration.settings.all.map { setting in
            let values =
                switch setting.name {
                case RunConfiguration.declarations.data.name: Self.told(runs.map { ($0.dataset, $0.datasetDigest) })
                case RunConfiguration.declarations.synthetic.name: Self.told(runs.map { ($0.synthetic, $0.syntheticDigest) })
                default: runs.map { OwnMethod.shown(setting.text(in: $0.configuration.values)) }
                }
            return TableOption(name: setting.name, values: values)
        }
        return all.filter { option in option.values.contains { $0 != option.values[0] } }
    }

    /// Names, with the digests of what bears one name and is not the same.
    private static func told(_ data: [(name: String, digest: String)]) -> [String] {
        data.map { one in
            let isTwofold = data.contains { $0.name == one.name && $0.digest != one.digest }
            return isTwofold ? "\(one.name) (sha256 \(one.digest.prefix(8))...)" : data.first { $0.digest == one.digest }?.name ?? one.name
        }
    }

    /// What a reader should know before he compares, a sentence each.
    public var remarks: [String] {
        var remarks: [String] = []
        let data = Self.told(runs.map { ($0.dataset, $0.datasetDigest) })
        if let other = runs.indices.first(where: { data[$0] != data[0] }) {
            remarks.append("the data sets are different: \(runs[0].name) was measured on \(data[0]), \(runs[other].name) on \(data[other])")
        }
        for run in runs where run.finishedRounds < run.configuration.rounds {
            let done = max(0, run.finishedRounds)
            remarks.append("\(run.name) is not finished: its figures are those after round \(done) of \(run.configuration.rounds)")
        }
        let lengths = runs.map(\.finishedRounds)
        if Set(lengths).count > 1, runs.allSatisfy({ $0.finishedRounds >= $0.configuration.rounds }) {
            remarks.append(
                "the runs have different numbers of rounds: \(zip(runs, lengths).map { "\($0.name) \($1)" }.joined(separator: ", "))")
        }
        return remarks
    }

    static let legend =
        "ACC: clean images right. ASR: triggered images of other classes that go to the target; of a run without attack that is the floor. "
        + "global model: after the last round, before any defence on the model. clients' own models: means over the clients."

    /// The figures as a table: a row for each model, a column for each run.
    var table: TableResult {
        var names: [String] = []
        for model in runs.flatMap(\.models) where !names.contains(model.name) { names.append(model.name) }
        let places = names.map { name in
            runs.map { run in
                var place = Measurement()
                if let model = run.models.first(where: { $0.name == name }) {
                    (place.accuracy, place.attackSuccess) = (model.accuracy, model.attackSuccess)
                }
                return [place]
            }
        }
        let measures = [
            Measure(key: "acc", title: "ACC", decimals: 4) { $0.accuracy },
            Measure(key: "asr", title: "ASR", decimals: 4) { $0.attackSuccess },
        ]
        let empty = [[[Curve]]](repeating: [[Curve]](repeating: [], count: runs.count), count: names.count)
        return TableResult(
            name: "models", caption: "ACC and ASR", claim: "", rowTitle: "model", legend: Self.legend, measures: measures, rows: names,
            columns: runs.map(\.name), seeds: [1], places: places, cleanColumns: [], curves: empty)
    }

    /// For a terminal.
    public var text: String {
        var options = TextTable(.init(repeating: .left, count: runs.count + 1))
        options.add(["option"] + runs.map(\.name))
        for option in differences { options.add([option.name] + option.values) }
        let what = differences.isEmpty ? ["all \(runs.count) runs have the same options"] : ["what differs"] + options.rendered(indent: 2)
        let notes = remarks.map { "note: \($0)" } + (remarks.isEmpty ? [] : [""])
        return (notes + what + ["", "what was measured"] + table.grid.map { "  " + $0 } + ["", Self.legend]).joined(separator: "\n")
    }
}

extension Comparison.Run {
    /// Throws `HDF5Error`, `RunError.incompatible`.
    fileprivate init(_ path: String) throws {
        let file = try HDF5File.open(path)
        guard try file.exists("/state/finished_rounds"), try file.exists("/history/acc"), try !file.exists("/aggregate") else {
            throw RunError.incompatible("\(path): expected a run file, got \(try Self.kind(file))")
        }
        let record = try CellRecord(path)
        self.path = path
        let fileName = Files.shown(Files.parts(path).last ?? path)
        name = fileName.hasSuffix(".h5") ? String(fileName.dropLast(3)) : fileName
        configuration = record.configuration
        (finishedRounds, curve) = (record.finishedRounds, record.curve)
        func provenance(_ name: String) throws -> String { try file.stringAttribute(name, of: "/provenance") ?? "unknown" }
        (dataset, datasetDigest) = (try provenance("dataset"), try provenance("dataset_digest"))
        (synthetic, syntheticDigest) = (try provenance("synthetic"), try provenance("synthetic_digest"))
        models = [("global model", record.final.accuracy, record.final.attackSuccess)]
        models += [("clients' own models", record.final.clientAccuracy, record.final.clientAttackSuccess)].filter { !$0.1.isNaN }
        for (identity, rates) in record.defended.sorted(by: { $0.key < $1.key }) {
            let label = OwnMethod.shown(identity)
            models.append((label, rates.accuracy, rates.attackSuccess))
            if !rates.clientAccuracy.isNaN {
                models.append(("clients' own models, \(label)", rates.clientAccuracy, rates.clientAttackSuccess))
            }
        }
    }

    /// What a file is instead, for errors.
    private static func kind(_ file: HDF5File) throws -> String {
        if try ResultSummary.isOne(file) { return "results of tables; its run files are in the folder cells beside it" }
        if try file.exists("/model") { return "a checkpoint without the rounds of a run" }
        if try file.exists("/train/images") || file.exists("/images") { return "images" }
        return "an HDF5 file of another kind"
    }
}
