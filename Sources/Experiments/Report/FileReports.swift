import OwnMethods

/// A table as Markdown, CSV and LaTeX.
extension TableResult {
    func markdown(_ results: Results) -> String {
        let heads = columns.indices.flatMap { column in measures(column).map { "\(columns[column]) \($0.title)" } }
        var lines = [
            "# \(name): \(caption)", "", results.provenance(seeds, on: evaluateOn), "",
            "| \(rowTitle) | \(heads.joined(separator: " | ")) |",
            "|---|\(heads.map { _ in "---:|" }.joined())",
        ]
        for row in rows.indices {
            let cells = columns.indices.flatMap { column in measures(column).map { summary(row, column, $0, plusMinus: " ± ") } }
            lines.append("| \(rows[row]) | \(cells.joined(separator: " | ")) |")
        }
        lines += ["", legend]
        if !claim.isEmpty { lines += ["", "Claimed: \(claim)"] }
        return lines.joined(separator: "\n") + "\n"
    }

    /// One line for each place and seed, of kind "seed", then its mean and standard deviation over seeds, of kinds "mean" and "std" and
    /// without
    /// a seed: a reader filters by kind. Empty where nothing was measured. Of a sweep each option that varies has a column of its own.
    func csv() -> String {
        let options = (rowOptions + columnOptions).map(\.name)
        var lines = [(["table", "row", "column", "kind", "seed"] + options + measures.map(\.key)).joined(separator: ",")]
        for row in rows.indices {
            for column in columns.indices {
                let name = [self.name, rows[row], columns[column]].map(Self.quoted)
                let chosen = (rowOptions.map { $0.values[row] } + columnOptions.map { $0.values[column] }).map {
                    Self.quoted(OwnMethod.shown($0))
                }
                func add(_ kind: String, _ seed: UInt64?, _ values: [Double]) {
                    let numbers = values.map { $0.isNaN ? "" : "\($0)" }
                    let row: [String] = name + [kind, seed.map { "\($0)" } ?? ""] + chosen + numbers
                    lines.append(row.joined(separator: ","))
                }
                for (at, seed) in seeds.enumerated() { add("seed", seed, measures.map { $0.value(places[row][column][at]) }) }
                add("mean", nil, measures.map { Statistics.mean(values(row, column, $0)) })
                add("std", nil, measures.map { Statistics.deviation(values(row, column, $0)) })
            }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func quoted(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    /// A table environment that needs no package.
    func latex(_ results: Results) -> String {
        let shape = "l" + columns.indices.map { "|" + measures($0).map { _ in "r" }.joined() }.joined()
        let groups = columns.indices.map { column in
            "\\multicolumn{\(measures(column).count)}{\(column + 1 < columns.count ? "c|" : "c")}{\(Self.escaped(columns[column]))}"
        }
        let heads = columns.indices.flatMap { measures($0).map(\.title) }
        var lines = [
            "% \(results.provenance(seeds, on: evaluateOn))", "\\begin{table}", "\\centering",
            "\\caption{\(Self.escaped(caption)). \(Self.escaped(results.provenance(seeds, on: evaluateOn))).}",
            "\\begin{tabular}{\(shape)}", "\\hline", " & \(groups.joined(separator: " & ")) \\\\",
            "\(Self.escaped(rowTitle)) & \(heads.joined(separator: " & ")) \\\\", "\\hline",
        ]
        for row in rows.indices {
            let cells = columns.indices.flatMap { column in
                measures(column).map { Self.number(summary(row, column, $0, plusMinus: " \\pm ")) }
            }
            lines.append("\(Self.escaped(rows[row])) & \(cells.joined(separator: " & ")) \\\\")
        }
        return (lines + ["\\hline", "\\end{tabular}", "\\end{table}"]).joined(separator: "\n") + "\n"
    }

    private static func number(_ text: String) -> String { text == "-" ? "--" : "$\(text)$" }

    private static func escaped(_ text: String) -> String {
        text.map { character in
            switch character {
            case "_", "%", "&", "#", "$", "{", "}": "\\\(character)"
            case "±": "$\\pm$"
            default: "\(character)"
            }
        }.joined()
    }
}
