/// A table as bars, in SVG: a panel for each column, in it a row for each defence with accuracy (outlined) above attack
/// success (solid), and the floor as a tick. Told apart by shape, not by colour; mean over seeds, with one standard
/// deviation as a line where there are several.
struct BarFigure {
    let table: TableResult

    private let label = 118, panel = 190, gap = 22, row = 30, top = 44, bar = 9
    private var width: Int { label + table.columns.count * (panel + gap) }
    private var height: Int { top + table.rows.count * row + 46 }

    var svg: String {
        var lines = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" \
            font-family="Helvetica, Arial, sans-serif" font-size="12" role="img">
            """,
            "<title>\(escaped(table.caption))</title>",
            "<rect width=\"\(width)\" height=\"\(height)\" fill=\"white\"/>",
        ]
        for (r, name) in table.rows.enumerated() { lines.append(text(label - 8, middle(r) + 4, name, anchor: "end")) }
        for c in table.columns.indices { lines += column(c) }
        lines += legend
        return (lines + ["</svg>"]).joined(separator: "\n") + "\n"
    }

    private func column(_ c: Int) -> [String] {
        let x = label + c * (panel + gap), bottom = top + table.rows.count * row
        var lines = [text(x + panel / 2, 18, table.columns[c], anchor: "middle", weight: "bold")]
        for tick in [0.0, 0.5, 1.0] {
            let at = place(x, tick)
            lines.append("<line x1=\"\(at)\" y1=\"\(top - 4)\" x2=\"\(at)\" y2=\"\(bottom)\" stroke=\"#ccc\"/>")
            lines.append(text(Int(x) + Int(tick * Double(panel)), top - 9, tick == 0.5 ? "0.5" : tick == 0 ? "0" : "1", anchor: "middle", size: 10))
        }
        for r in table.rows.indices {
            lines += bars(r, c, x, Measure.all[0], middle(r) - bar - 1, "fill=\"#dbe7f3\" stroke=\"#1f4e79\"")
            guard !table.cleanColumns.contains(table.columns[c]) else { continue }
            lines += bars(r, c, x, Measure.all[1], middle(r) + 1, "fill=\"#8c1c13\"")
            let floor = Statistics.mean(table.values(r, c, Measure.all[2]))
            if !floor.isNaN {
                let at = place(x, floor)
                lines.append("<line x1=\"\(at)\" y1=\"\(middle(r) - 1)\" x2=\"\(at)\" y2=\"\(middle(r) + bar + 3)\" stroke=\"black\" stroke-width=\"1.5\"/>")
            }
        }
        return lines
    }

    private func bars(_ r: Int, _ c: Int, _ x: Int, _ measure: Measure, _ y: Int, _ style: String) -> [String] {
        let values = table.values(r, c, measure), mean = Statistics.mean(values), deviation = Statistics.deviation(values)
        guard !mean.isNaN else { return [] }
        var lines = ["<rect x=\"\(x)\" y=\"\(y)\" width=\"\(Numbers.fixed(max(0.5, mean * Double(panel)), 1))\" height=\"\(bar)\" \(style)/>"]
        if !deviation.isNaN {
            let from = place(x, max(0, mean - deviation)), to = place(x, min(1, mean + deviation)), at = Double(y) + Double(bar) / 2
            lines.append("<line x1=\"\(from)\" y1=\"\(at)\" x2=\"\(to)\" y2=\"\(at)\" stroke=\"black\"/>")
        }
        let inside = mean > 0.8
        lines.append(text(x + Int(mean * Double(panel)) + (inside ? -4 : 8), y + bar, Numbers.fixed(mean, 2), anchor: inside ? "end" : "start",
                          size: 9, fill: inside && measure.key == "asr" ? "white" : "black"))
        return lines
    }

    private var legend: [String] {
        let y = height - 22
        return ["<rect x=\"\(label)\" y=\"\(y)\" width=\"24\" height=\"\(bar)\" fill=\"#dbe7f3\" stroke=\"#1f4e79\"/>",
                text(label + 30, y + bar, "ACC, accuracy on clean images", anchor: "start"),
                "<rect x=\"\(label + 220)\" y=\"\(y)\" width=\"24\" height=\"\(bar)\" fill=\"#8c1c13\"/>",
                text(label + 250, y + bar, "ASR, attack success rate", anchor: "start"),
                "<line x1=\"\(label + 412)\" y1=\"\(y - 2)\" x2=\"\(label + 412)\" y2=\"\(y + bar + 2)\" stroke=\"black\" stroke-width=\"1.5\"/>",
                text(label + 420, y + bar, "floor: that rate without attack", anchor: "start")]
    }

    private func middle(_ r: Int) -> Int { top + r * row + row / 2 }
    private func place(_ x: Int, _ value: Double) -> String { Numbers.fixed(Double(x) + value * Double(panel), 1) }

    private func text(_ x: Int, _ y: Int, _ text: String, anchor: String, size: Int = 12, weight: String = "normal", fill: String = "black") -> String {
        "<text x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor)\" font-size=\"\(size)\" font-weight=\"\(weight)\" fill=\"\(fill)\">\(escaped(text))</text>"
    }

    private func escaped(_ text: String) -> String {
        text.map { $0 == "<" ? "&lt;" : $0 == ">" ? "&gt;" : $0 == "&" ? "&amp;" : String($0) }.joined()
    }
}
