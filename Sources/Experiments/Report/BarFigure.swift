import Numerics

/// A table as bars, in SVG: a panel for each column, in it a row for each defence with accuracy (outlined) above attack
/// success (solid), and the floor as a tick. Told apart by shape, not by colour; mean over seeds, with one standard
/// deviation as a line where there are several.
struct BarFigure {
    let table: TableResult, bars: Bars

    private let label: Double, panel = 190.0, gap = 22.0, row = 30.0, top = 44.0, bar = 9.0

    init(table: TableResult, bars: Bars) {
        (self.table, self.bars) = (table, bars)
        label = 30 + 6.5 * Double(table.rows.map(\.count).max() ?? 0)
    }

    var svg: String {
        let width = max(label + Double(table.columns.count) * (panel + gap), label + 630)
        var drawing = Drawing(width: width, height: top + Double(table.rows.count) * row + 46)
        for (r, name) in table.rows.enumerated() { drawing.text(label - 8, middle(r) + 4, name, anchor: .end) }
        for c in table.columns.indices { column(c, &drawing) }
        legend(&drawing)
        return drawing.svg(title: table.caption)
    }

    private func column(_ c: Int, _ drawing: inout Drawing) {
        let x = label + Double(c) * (panel + gap), bottom = top + Double(table.rows.count) * row
        drawing.text(x + panel / 2, 18, table.columns[c], anchor: .middle, bold: true)
        for (tick, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
            drawing.line(x + tick * panel, top - 4, x + tick * panel, bottom, stroke: Drawing.Ink.grid)
            drawing.text(x + tick * panel, top - 9, text, anchor: .middle, size: 10)
        }
        for r in table.rows.indices {
            draw(
                table.values(r, c, bars.accuracy), at: x, middle(r) - bar - 1, fill: Drawing.Ink.accuracyFill, stroke: Drawing.Ink.accuracy,
                &drawing)
            guard !table.cleanColumns.contains(table.columns[c]) else { continue }
            draw(table.values(r, c, bars.attackSuccess), at: x, middle(r) + 1, fill: Drawing.Ink.attack, stroke: "none", &drawing)
            let floor = Statistics.mean(table.values(r, c, bars.tick))
            if !floor.isNaN { drawing.line(x + floor * panel, middle(r) - 1, x + floor * panel, middle(r) + bar + 3, width: 1.5) }
        }
    }

    /// A bar, its upper left corner at (x, y); none where there are no values.
    private func draw(_ values: [Double], at x: Double, _ y: Double, fill: String, stroke: String, _ drawing: inout Drawing) {
        let mean = Statistics.mean(values), deviation = Statistics.deviation(values)
        guard !mean.isNaN else { return }
        drawing.rectangle(x, y, max(0.5, mean * panel), bar, fill: fill, stroke: stroke)
        let hasSpread = !deviation.isNaN, low = hasSpread ? max(0, mean - deviation) : mean,
            high = hasSpread ? min(1, mean + deviation) : mean
        if hasSpread { drawing.line(x + low * panel, y + bar / 2, x + high * panel, y + bar / 2) }
        let inside = mean > 0.8  // the number stands clear of the spread, and without one of the floor's tick
        drawing.text(
            inside ? x + low * panel - 4 : max(x + mean * panel + 8, x + high * panel + 3), y + bar - 1, Numbers.fixed(mean, 2),
            anchor: inside ? .end : .start,
            size: 9, fill: inside && stroke == "none" ? "#fff" : Drawing.Ink.black)
    }

    private func legend(_ drawing: inout Drawing) {
        let y = drawing.height - 22
        drawing.rectangle(label, y, 24, bar, fill: Drawing.Ink.accuracyFill, stroke: Drawing.Ink.accuracy)
        drawing.text(label + 30, y + bar, "ACC, accuracy on clean images")
        drawing.rectangle(label + 235, y, 24, bar, fill: Drawing.Ink.attack)
        drawing.text(label + 265, y + bar, "ASR, attack success rate")
        drawing.line(label + 440, y - 2, label + 440, y + bar + 2, width: 1.5)
        drawing.text(label + 448, y + bar, bars.tickTitle)
    }

    private func middle(_ r: Int) -> Double { top + Double(r) * row + row / 2 }
}
