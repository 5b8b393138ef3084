import Federation
import HDF5
import OwnMethods

/// What `inspect` says of results: of a file results.h5, or of a folder whose tables may not be finished.
public struct ResultSummary: Sendable {
    /// Name and value.
    public private(set) var facts: [(name: String, value: String)]
    /// Name, caption and size of each table.
    public private(set) var tables: [(name: String, value: String)]
    public private(set) var index: CellIndex

    static let format = "fedclamp-results"

    /// Whether a file calls itself results.
    public static func isOne(_ file: HDF5File) throws -> Bool { try file.stringAttribute("format") == format }

    /// Throws `HDF5Error`, `RunError.incompatible`.
    public init(_ file: HDF5File) throws {
        facts = try Self.names.compactMap { name in try file.stringAttribute(name).map { (name, $0) } }
        let options = try file.exists("/options") ? try file.readStrings("/options") : []
        facts += options.map(Self.fact)
        index = try CellIndex(file)
        tables = []
        for name in try file.children() {
            let group = "/\(name)"
            guard try file.exists("\(group)/rows"), try file.exists("\(group)/columns") else { continue }
            let rows = try file.readStrings("\(group)/rows"), columns = try file.readStrings("\(group)/columns")
            let seeds = try file.read("\(group)/seeds", as: UInt64.self, shape: [-1]).values
            tables.append((name, Self.line(try file.stringAttribute("caption", of: group) ?? "", rows.count, columns.count, seeds)))
        }
    }

    /// Of a folder that `reproduce`, `sweep` or `merge` works in. Nil for a folder without a setting.
    public init?(folder: ResultFolder) throws {
        guard let setting = try folder.setting() else { return nil }
        let results = try Results(try Plan(setting), folder, setting)
        facts = results.facts + setting.grid.options.map { Self.fact("\($0.name) = \($0.text)") }
        tables = results.tables.map { ($0.name, Self.line($0.caption, $0.rows.count, $0.columns.count, $0.seeds)) }
        index = results.index
    }

    /// Of an option as it stands in results.h5, "lr = 0.01 | 0.02".
    private static func fact(_ option: String) -> (name: String, value: String) {
        let parts = option.split(separator: " = ", maxSplits: 1).map(String.init)
        return ("option \(parts.first ?? "")", OwnMethod.shown(parts.last ?? ""))
    }

    private static func line(_ caption: String, _ rows: Int, _ columns: Int, _ seeds: [UInt64]) -> String {
        "\(rows) x \(columns), \(seeds.count == 1 ? "seed" : "seeds") \(seeds.map { "\($0)" }.joined(separator: " ")): \(caption)"
    }

    fileprivate static let names = [
        "scale", "dataset", "dataset_digest", "synthetic", "synthetic_digest", "evaluate_on", "instruction_sets", "program_versions",
    ]
}

extension Results {
    /// What results.h5 says of all tables.
    var facts: [(name: String, value: String)] {
        let values = [
            setting.scale, setting.dataset, setting.datasetDigest, setting.synthetic, setting.syntheticDigest, setting.evaluateOn.rawValue,
            instructionSets.joined(separator: " "), programVersions.joined(separator: " "),
        ]
        return Array(zip(ResultSummary.names, values))
    }
}
