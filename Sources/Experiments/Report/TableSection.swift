/// A table on a page: the table itself, its bars, and the curves of its trainings.
struct TableSection {
    let table: TableResult
    /// From the user's paper.csv.
    var paper = PaperFigures()

    var html: String {
        var parts = ["<section id=\"\(table.name)\">", "<h2>\(escaped(table.name)): \(escaped(table.caption))</h2>"]
        if !table.claim.isEmpty { parts.append("<p class=\"claim\"><b>Claimed:</b> \(escaped(table.claim))</p>") }
        parts += [grid, "<p class=\"legend\">\(escaped(table.legend))</p>"]
        if let bars = table.bars { parts.append("<div class=\"wide\">\(BarFigure(table: table, bars: bars).svg)</div>") }
        let panels = table.rows.indices.flatMap { row in
            table.columns.indices.compactMap { table.curves[row][$0].isEmpty ? nil : table.curvePanel(row, $0) }
        }
        if !panels.isEmpty {
            var legend = Drawing(width: CurvePanel.width, height: 20)
            CurveFigure.legend(&legend, y: 10)
            parts += [
                "<h3>Over the rounds</h3>",
                "<p class=\"legend\">The shared model after every round, before any defence on the model. \(legend.svg(title: "legend"))</p>",
                "<div class=\"panels\">",
                panels.map { $0.drawing.svg(title: "\($0.row), \($0.column): ACC and ASR over the rounds") }.joined(), "</div>",
            ]
        }
        return (parts + ["</section>"]).joined(separator: "\n")
    }

    /// The table itself, columns in groups.
    var grid: String {
        var lines = ["<div class=\"wide\"><table>", "<thead><tr><th rowspan=\"2\">\(escaped(table.rowTitle))</th>"]
        lines += table.columns.indices.map {
            "<th class=\"group\" colspan=\"\(table.measures($0).count)\">\(escaped(table.columns[$0]))</th>"
        }
        lines.append("</tr><tr>")
        lines += table.columns.indices.flatMap { cells(table.measures($0).map(\.title), tag: "th") }
        lines.append("</tr></thead><tbody>")
        for row in table.rows.indices {
            lines.append("<tr><th>\(escaped(table.rows[row]))</th>")
            lines += table.columns.indices.flatMap { column in cells(table.measures(column).map { number(row, column, $0) }, tag: "td") }
            lines.append("</tr>")
        }
        return (lines + ["</tbody></table></div>"]).joined()
    }

    /// The mean, and the paper's figure in brackets where the user gave one.
    private func number(_ row: Int, _ column: Int, _ measure: Measure) -> String {
        let paper = paper.value(table.name, table.rows[row], table.columns[column], measure)
        return table.summary(row, column, measure, plusMinus: " ± ") + (paper.map { " [\(Numbers.fixed($0, measure.decimals))]" } ?? "")
    }

    /// A group's cells, the first with a line at its left.
    private func cells(_ texts: [String], tag: String) -> [String] {
        texts.enumerated().map { "<\(tag)\($0 == 0 ? " class=\"group\"" : "")>\(escaped($1))</\(tag)>" }
    }

    private func escaped(_ text: String) -> String { Markup.escaped(text) }
}
