import Datasets
import Federation
import HDF5
import Numerics
import Options
import OwnMethods

/// What a folder of results belongs to. Only results of the same scale, data and options may be added; tables and seeds may grow.
public struct Setting: Equatable, Sendable {
    public var scale: String
    public var dataset: String, datasetDigest: String
    /// Name of the FM data: a file's, or holdout:N.
    public var synthetic: String, syntheticDigest: String
    public var syntheticImages: Int
    public var evaluateOn: EvaluationSplit
    public var tables: [String]
    public var seeds: [UInt64]
    /// A user's own methods that have rows: identities.
    public var own: [OwnMethod]
    /// What `--set` changes in every table, or what a sweep is made of.
    public var grid: Grid

    public init(
        scale: String, dataset: String, datasetDigest: String, synthetic: String, syntheticDigest: String,
        syntheticImages: Int, evaluateOn: EvaluationSplit, tables: [String], seeds: [UInt64], own: [OwnMethod] = [], grid: Grid = Grid()
    ) {
        // Names come from files and of files: each is one line of setting.txt.
        (self.scale, self.dataset, self.datasetDigest) = (scale, HDF5Error.oneLine(dataset), datasetDigest)
        (self.synthetic, self.syntheticDigest, self.syntheticImages) = (HDF5Error.oneLine(synthetic), syntheticDigest, syntheticImages)
        self.evaluateOn = evaluateOn
        (self.tables, self.seeds, self.own, self.grid) = (tables, seeds, own, grid)
    }

    public var isSweep: Bool { scale == Scale.sweep.name }

    /// Lines "name = value".
    var text: String {
        let lines =
            fixed + [("tables", tables.joined(separator: " ")), ("seeds", seeds.map { "\($0)" }.joined(separator: " "))]
            + (own.isEmpty ? [] : [("own", own.map(\.text).joined(separator: " "))])
            + grid.options.map { (Self.optionMark + $0.name, $0.text) }
        return "# What the results in this folder belong to; other data, another scale or other options are refused.\n"
            + lines.map { "\($0.0) = \($0.1)\n" }.joined()
    }

    /// The fields that a folder is bound to.
    private var fixed: [(String, String)] {
        [
            ("scale", scale), ("dataset", dataset), ("dataset_digest", datasetDigest), ("synthetic", synthetic),
            ("synthetic_digest", syntheticDigest), ("synthetic_images", "\(syntheticImages)"), ("evaluate_on", evaluateOn.rawValue),
        ]
    }

    /// Before the name of an option of the grid.
    private static let optionMark = "option "

    /// Throws `RunError.incompatible` when a field is missing or no value of its kind.
    init(parsing lines: [TextLines.Line], path: String) throws {
        var values: [String: String] = [:], grid = Grid()
        for line in lines where !line.text.hasPrefix("#") && !line.text.trimmed.isEmpty {
            guard let (name, value) = line.assignment else {
                throw RunError.incompatible("\(path):\(line.number): expected \"name = value\", got \"\(line.text.prefix(100))\"")
            }
            values[name] = value
            guard name.hasPrefix(Self.optionMark) else { continue }
            do { try grid.add(String(name.dropFirst(Self.optionMark.count)), value) } catch let error as SettingError {
                throw RunError.incompatible("\(path):\(line.number): \(error.inFile)")
            }
        }
        func value(_ name: String) throws -> String {
            guard let value = values[name] else { throw RunError.incompatible("\(path): \(name) is missing; is this a folder of results?") }
            return value
        }
        guard let split = EvaluationSplit(rawValue: try value("evaluate_on")) else {
            throw RunError.incompatible("\(path): evaluate_on: expected test or dev, got \(try value("evaluate_on"))")
        }
        guard let images = Int(try value("synthetic_images")) else {
            throw RunError.incompatible("\(path): synthetic_images: expected a whole number, got \(try value("synthetic_images"))")
        }
        let seeds = try value("seeds").split(separator: " ").map { UInt64($0) }
        guard seeds.allSatisfy({ $0 != nil }), Self.seedLimits.contains(seeds.count), Set(seeds).count == seeds.count else {
            throw RunError.incompatible("\(path): seeds: expected 1 to 1000 different whole numbers, got \(try value("seeds").prefix(100))")
        }
        let tables = try value("tables").split(separator: " ").map(String.init)
        let known = values["scale"] == Scale.sweep.name ? [SweepTable.name] : Tables.names
        guard !tables.isEmpty, Set(tables).count == tables.count, tables.allSatisfy(known.contains) else {
            throw RunError.incompatible(
                "\(path): tables: expected some of \(known.joined(separator: " ")), each once, "
                    + "got \"\(try value("tables").prefix(100))\"")
        }
        let own = (values["own"] ?? "").split(separator: " ").map { OwnMethod(String($0)) }
        guard own.allSatisfy({ $0 != nil }), own.count <= Self.mostOwn else {
            throw RunError.incompatible(
                "\(path): own: expected at most \(Self.mostOwn) of name@kind:digest, got \"\((values["own"] ?? "").prefix(100))\"")
        }
        guard Scale.named(try value("scale")) != nil else {
            throw RunError.incompatible("\(path): there is no scale \"\(try value("scale").prefix(100))\" in this version")
        }
        guard !grid.asksForOwnMethods, values["scale"] == Scale.sweep.name || grid.varied.isEmpty, grid.count * seeds.count <= Grid.most
        else {
            throw RunError.incompatible(
                "\(path): options: expected one value each, or those of a sweep of at most \(Grid.most) cells, "
                    + "with own methods as name@kind:digest")
        }
        self.init(
            scale: try value("scale"), dataset: try value("dataset"), datasetDigest: try value("dataset_digest"),
            synthetic: try value("synthetic"), syntheticDigest: try value("synthetic_digest"), syntheticImages: images, evaluateOn: split,
            tables: tables, seeds: seeds.compactMap { $0 }, own: own.compactMap { $0 }, grid: grid)
    }

    /// Own methods of one folder.
    private static let mostOwn = 64

    /// What the cells have in common besides the data, for people: the scale, and the options that replace its own.
    public var conditions: String {
        let options = grid.fixed.map { "\($0.name) \(OwnMethod.shown($0.values[0]))" }.joined(separator: ", ")
        if isSweep { return options.isEmpty ? "the defaults of run" : "the defaults of run but \(options)" }
        let summary = Scale.named(scale).map { " (\($0.summary))" } ?? ""
        return "scale \(scale)\(summary)" + (options.isEmpty ? "" : ", all cells with \(options)")
    }

    /// Seeds of one folder.
    static let seedLimits = 1...1000

    /// Throws `RunError.incompatible` naming the first option that `other` has differently; `showing` is what of a value counts.
    private func checkGrid(_ other: Setting, at path: String, showing: (String) -> String) throws {
        let names = other.grid.options.map(\.name) + grid.options.map(\.name)
        let missing = isSweep ? "the default" : "what the tables have"
        for name in names {
            let mine = grid.option(name)?.text ?? missing, theirs = other.grid.option(name)?.text ?? missing
            guard showing(mine) != showing(theirs) else { continue }
            throw RunError.incompatible("\(path) holds results of another setting: \(name) is \(theirs), not \(mine); use another --out")
        }
    }

    /// This setting with the tables and seeds of `other` too, in their natural order. Throws `RunError.incompatible`
    /// naming the first field that differs; names of equal data may.
    /// - Parameter replacesOwn: an own method that was changed since takes the place of what `other` has of it; else that is refused.
    func joined(with other: Setting, at path: String, replacesOwn: Bool = false) throws -> Setting {
        for (mine, theirs) in zip(fixed, other.fixed) where mine.1 != theirs.1 {
            if mine.0 == "synthetic", syntheticDigest == other.syntheticDigest { continue }
            if mine.0 == "dataset", datasetDigest == other.datasetDigest { continue }
            throw RunError.incompatible(
                "\(path) holds results of another setting: \(theirs.0) is \(theirs.1), not \(mine.1); use another --out")
        }
        try checkGrid(other, at: path) { replacesOwn ? OwnMethod.shown($0) : $0 }
        var all = self
        all.tables = (Tables.names + [SweepTable.name]).filter { tables.contains($0) || other.tables.contains($0) }
        let changed = other.own.filter { theirs in own.contains { $0.label == theirs.label && $0.kind == theirs.kind && $0 != theirs } }
        if let first = changed.first, !replacesOwn {
            throw RunError.incompatible(
                "\(path) holds results of another version of \(first.label) (sha256 \(first.digest)...): use one version for all parts")
        }
        all.own = other.own.filter { !changed.contains($0) && !own.contains($0) } + own
        all.seeds = Set(seeds + other.seeds).sorted()
        let most = isSweep ? Grid.most / grid.count : Self.seedLimits.upperBound
        guard all.seeds.count <= min(most, Self.seedLimits.upperBound) else {
            throw RunError.incompatible("\(path): \(all.seeds.count) seeds in all, at most \(most) go into this folder; use another --out")
        }
        return all
    }
}
