import Federation
import HDF5

/// The place for a paper's own figures, which are not part of this program: a user's file paper.csv in the folder of
/// results, with the columns table, row, column, acc, asr (fractions; empty where the paper has none). Reports show them
/// beside the results.
struct PaperFigures: Sendable {
    static let file = "paper.csv", header = ["table", "row", "column", "acc", "asr"]
    private var figures: [[String]: [String: Double]] = [:]

    init() {}

    /// Throws `RunError.incompatible` naming the line, for a place that no table has or a number that is none.
    init(parsing all: [TextLines.Line], path: String, _ tables: [TableResult]) throws {
        let lines = all.filter { !$0.text.trimmed.isEmpty }
        guard let first = lines.first, Self.fields(first.text) == Self.header else {
            throw RunError.incompatible(
                "\(path): expected a first line \"\(Self.header.joined(separator: ","))\", got \"\(lines.first?.text.prefix(100) ?? "")\"")
        }
        for (number, line) in lines.dropFirst().map({ ($0.number, $0.text) }) {
            func wrong(_ what: String, _ got: String) -> RunError {
                .incompatible("\(path), line \(number): expected \(what), got \"\(got)\"")
            }
            let fields = Self.fields(line)
            guard fields.count == Self.header.count else { throw wrong("\(Self.header.count) fields", line) }
            guard let table = tables.first(where: { $0.name == fields[0] }) else { continue }  // of a table that is not in this folder
            guard table.rows.contains(fields[1]) else {
                throw wrong("a row of \(table.name): \(table.rows.joined(separator: "; "))", fields[1])
            }
            guard table.columns.contains(fields[2]) else {
                throw wrong("a column of \(table.name): \(table.columns.joined(separator: "; "))", fields[2])
            }
            for (key, field) in zip(Self.header[3...], fields[3...]) where !field.isEmpty {
                guard let value = Double(field), (0...1).contains(value) else { throw wrong("a fraction from 0 to 1 as \(key)", field) }
                figures[Array(fields[..<3]), default: [:]][key] = value
            }
        }
    }

    /// The paper's number for a measure at a place; nil where there is none.
    func value(_ table: String, _ row: String, _ column: String, _ measure: Measure) -> Double? {
        figures[[table, row, column]]?[measure.key]
    }

    /// The fields of a line: quoted ones may hold commas and doubled quotes.
    static func fields(_ line: String) -> [String] {
        var fields = [String.UnicodeScalarView()], quoted = false, last: Unicode.Scalar = ","
        for character in line.unicodeScalars {
            switch character {
            case "\"":
                if !quoted, last == "\"" { fields[fields.count - 1].append("\"") }
                quoted.toggle()
            case "," where !quoted: fields.append(String.UnicodeScalarView())
            default: fields[fields.count - 1].append(character)
            }
            last = character
        }
        return fields.map { String($0) }
    }
}
