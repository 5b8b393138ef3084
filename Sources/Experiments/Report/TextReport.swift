import Federation

extension TableResult {
    /// The table for a terminal: a column's name above its measures, what was computed with, and the paper's claim.
    public func text(_ results: Results) -> String {
        (["\(name): \(caption)", results.provenance(seeds, on: evaluateOn), ""] + grid + ["", legend] + claimLines).joined(separator: "\n")
    }

    /// The table alone, a line of text for each of its lines.
    var grid: [String] {
        let cells = rows.indices.map { row in columns.indices.map { column in measures(column).map { summary(row, column, $0) } } }
        let widths = columns.indices.map { column in
            measures(column).enumerated().map { at, measure in max(measure.title.count, cells.map { $0[column][at].count }.max() ?? 0) }
        }
        let label = ([rowTitle] + rows).map(\.count).max() ?? 0
        var top = Self.left("", label), titles = Self.left(rowTitle, label), rule = String(repeating: "-", count: label)
        var lines = rows.map { Self.left($0, label) }
        for column in columns.indices {
            var fitted = widths[column]
            let needed = columns[column].count - (fitted.reduce(0, +) + 2 * (fitted.count - 1))
            if needed > 0 { fitted[fitted.count - 1] += needed }
            let width = fitted.reduce(0, +) + 2 * (fitted.count - 1)
            func join(_ texts: [String]) -> String { zip(texts, fitted).map { Self.right($0, $1) }.joined(separator: "  ") }
            top += "    " + Self.left(columns[column], width)
            titles += "    " + join(measures(column).map(\.title))
            rule += "    " + String(repeating: "-", count: width)
            for row in rows.indices { lines[row] += "    " + join(cells[row][column]) }
        }
        return ([top, titles, rule] + lines).map(Self.trimmed)
    }

    private var claimLines: [String] { claim.isEmpty ? [] : ["Claimed: \(claim)"] }

    private static func left(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(0, width - text.count)) }
    private static func right(_ text: String, _ width: Int) -> String { String(repeating: " ", count: max(0, width - text.count)) + text }

    private static func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }
}

extension Results {
    /// Where the numbers come from, one line.
    public func provenance(_ seeds: [UInt64], on split: EvaluationSplit? = nil) -> String {
        let seedText =
            seeds.count == 1 ? "seed \(seeds[0])" : "mean ± standard deviation over seeds \(seeds.map { "\($0)" }.joined(separator: " "))"
        let standIn =
            SyntheticSource.holdout(ifAny: setting.synthetic).map { "; FM data: stand-in, \(Numbers.grouped($0)) withheld training images" }
            ?? "; FM data: \(setting.synthetic)"
        let old = Numbers.counted(stale.count, "training")
        return "\(setting.dataset), \(setting.conditions)\(standIn); \((split ?? setting.evaluateOn).rawValue) images; \(seedText); "
            + "\(instructionSets.joined(separator: " and ")); fedclamp \(programVersions.joined(separator: " and "))"
            + (stale.isEmpty ? "" : "; \(old) of older revisions, the first: \(stale[0].title): \(stale[0].why)")
    }
}
