/// One training's curves, in a small panel: ACC solid with filled circles, ASR dashed with open squares. Several seeds
/// are thin lines, their mean is a thick one.
struct CurvePanel {
    static let width = 190.0, height = 138.0
    var row: String, column: String
    var curves: [Curve]
    /// Whether somebody attacks: without, there is no ASR to draw.
    var isAttacked: Bool

    private let left = 26.0, right = 10.0, top = 36.0, bottom = 18.0

    var drawing: Drawing {
        var drawing = Drawing(width: Self.width, height: Self.height)
        drawing.text(2, 13, row, size: 11, bold: true)
        drawing.text(2, 26, column, size: 11)
        for (tick, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
            drawing.line(left, y(tick), Self.width - right, y(tick), stroke: Drawing.Ink.grid)
            drawing.text(left - 5, y(tick) + 3.5, text, anchor: .end, size: 10)
        }
        guard let mean = Curve.mean(curves), let last = mean.rounds.last else {
            drawing.text((left + Self.width - right) / 2, y(0.5) - 6, "not computed", anchor: .middle, size: 10)
            return drawing
        }
        drawing.text(x(0, last), Self.height - 4, "0", anchor: .middle, size: 10)
        drawing.text(x(last, last), Self.height - 4, "\(last)", anchor: .middle, size: 10)
        drawing.text(x(last, last) / 2 + left / 2, Self.height - 4, "round", anchor: .middle, size: 10)
        for curve in curves.count > 1 ? curves : [] { lines(curve, last, width: 0.5, &drawing) }
        lines(mean, last, width: 1.6, &drawing)
        let stride = max(1, mean.rounds.count / 7)
        for i in mean.rounds.indices where (mean.rounds.count - 1 - i) % stride == 0 {
            let place = x(mean.rounds[i], last)
            if !mean.accuracy[i].isNaN { drawing.circle(place, y(mean.accuracy[i]), 2.4, fill: Drawing.Ink.accuracy) }
            guard isAttacked, !mean.attackSuccess[i].isNaN else { continue }
            drawing.rectangle(place - 2.4, y(mean.attackSuccess[i]) - 2.4, 4.8, 4.8, fill: "#fff", stroke: Drawing.Ink.attack)
        }
        return drawing
    }

    private func lines(_ curve: Curve, _ last: Int, width: Double, _ drawing: inout Drawing) {
        func points(_ values: [Double]) -> [(x: Double, y: Double)] {
            zip(curve.rounds, values).filter { !$0.1.isNaN }.map { (x($0, last), y($1)) }
        }
        drawing.polyline(points(curve.accuracy), stroke: Drawing.Ink.accuracy, width: width)
        if isAttacked { drawing.polyline(points(curve.attackSuccess), stroke: Drawing.Ink.attack, width: width, dashes: "5 3") }
    }

    private func x(_ round: Int, _ last: Int) -> Double {
        left + 4 + Double(round) / Double(max(1, last)) * (Self.width - left - right - 8)
    }
    private func y(_ value: Double) -> Double { top + (1 - value) * (Self.height - top - bottom) }
}

/// All curves of a table in one picture, for a paper.
struct CurveFigure {
    let table: TableResult

    /// Nil for a table without trainings of its own.
    var svg: String? {
        let rows = table.rows.indices.filter { row in table.columns.indices.contains { !table.curves[row][$0].isEmpty } }
        guard !rows.isEmpty else { return nil }
        let gap = 12.0
        var drawing = Drawing(
            width: Double(table.columns.count) * (CurvePanel.width + gap), height: Double(rows.count) * (CurvePanel.height + gap) + 22)
        for (line, row) in rows.enumerated() {
            for column in table.columns.indices {
                drawing.add(
                    table.curvePanel(row, column).drawing, Double(column) * (CurvePanel.width + gap),
                    Double(line) * (CurvePanel.height + gap))
            }
        }
        Self.legend(&drawing, y: drawing.height - 10)
        return drawing.svg(title: "ACC and ASR over the rounds: \(table.caption)")
    }

    static func legend(_ drawing: inout Drawing, y: Double) {
        drawing.line(10, y, 40, y, stroke: Drawing.Ink.accuracy, width: 1.6)
        drawing.circle(25, y, 2.4, fill: Drawing.Ink.accuracy)
        drawing.text(46, y + 4, "ACC")
        drawing.line(90, y, 120, y, stroke: Drawing.Ink.attack, width: 1.6, dashes: "5 3")
        drawing.rectangle(102.6, y - 2.4, 4.8, 4.8, fill: "#fff", stroke: Drawing.Ink.attack)
        drawing.text(126, y + 4, "ASR")
    }
}

extension TableResult {
    func curvePanel(_ row: Int, _ column: Int) -> CurvePanel {
        CurvePanel(
            row: rows[row], column: columns[column], curves: curves[row][column], isAttacked: !cleanColumns.contains(columns[column]))
    }
}
