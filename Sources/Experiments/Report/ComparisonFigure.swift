/// One measure of several runs over the rounds: each a line of its own look, with the run's number at its end.
struct ComparisonFigure {
    /// In the order of their numbers, from 1.
    let runs: [Comparison.Run]
    let title: String
    let values: (Curve) -> [Double]

    private static let width = 460.0, height = 300.0
    private let left = 34.0, right = 24.0, top = 34.0, bottom = 34.0

    /// How the line of run `at` looks.
    static func look(_ at: Int) -> (ink: String, dashes: String) {
        let inks = ["#1f4e79", "#8c1c13", "#2e6b34", "#7a4b9a", "#a65e00", "#4d4d4d", "#00707f", "#b0175a"],
            dashes = ["", "7 3", "2 3", "10 3 2 3"]
        return (inks[at % inks.count], dashes[at % dashes.count])
    }

    var drawing: Drawing {
        var drawing = Drawing(width: Self.width, height: Self.height)
        drawing.text(left, 16, title, size: 14, bold: true)
        for (tick, text) in [(0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")] {
            drawing.line(left, y(tick), Self.width - right, y(tick), stroke: Drawing.Ink.grid)
            drawing.text(left - 5, y(tick) + 4, text, anchor: .end)
        }
        let last = runs.compactMap(\.curve.rounds.last).max() ?? 0
        for tick in Set([0, last / 2, last]).sorted() { drawing.text(x(tick, last), Self.height - 16, "\(tick)", anchor: .middle) }
        drawing.text((left + Self.width - right) / 2, Self.height - 3, "round", anchor: .middle)
        for (at, run) in runs.enumerated() {
            let look = Self.look(at)
            drawing.polyline(points(run, last), stroke: look.ink, width: 1.8, dashes: look.dashes)
            for point in points(run, last).prefix(40) where points(run, last).count <= 40 {
                drawing.circle(point.x, point.y, 2.2, fill: look.ink)
            }
        }
        for label in labels(last) {
            drawing.text(label.x + 5, label.y + 4, "\(label.number)", bold: true, fill: Self.look(label.number - 1).ink)
        }
        return drawing
    }

    private func points(_ run: Comparison.Run, _ last: Int) -> [(x: Double, y: Double)] {
        zip(run.curve.rounds, values(run.curve)).filter { !$0.1.isNaN }.map { (x($0, last), y($1)) }
    }

    /// The numbers at the ends of the lines; those that would lie on each other are pushed apart downwards, and the lowest stay above the
    /// axis.
    private func labels(_ last: Int) -> [(number: Int, x: Double, y: Double)] {
        var ends = runs.indices.compactMap { at in points(runs[at], last).last.map { (number: at + 1, x: $0.x, y: $0.y) } }
        ends.sort { ($0.y, $0.number) < ($1.y, $1.number) }
        let gap = min(12, (y(0) - y(1)) / Double(max(1, ends.count - 1)))
        for at in ends.indices.dropFirst() { ends[at].y = max(ends[at].y, ends[at - 1].y + gap) }
        if let lowest = ends.last, lowest.y > y(0) {
            ends[ends.count - 1].y = y(0)
            for at in ends.indices.dropLast().reversed() { ends[at].y = min(ends[at].y, ends[at + 1].y - gap) }
        }
        return ends
    }

    private func x(_ round: Int, _ last: Int) -> Double { left + Double(round) / Double(max(1, last)) * (Self.width - left - right) }
    private func y(_ value: Double) -> Double { top + (1 - value) * (Self.height - top - bottom) }
}

extension Comparison {
    /// One page that needs no other file.
    public var html: String {
        let figures = [("ACC over the rounds", \Curve.accuracy), ("ASR over the rounds", \Curve.attackSuccess)].map { title, values in
            ComparisonFigure(runs: runs, title: title) { $0[keyPath: values] }.drawing.svg(title: title)
        }
        let panels = runs.map { run in
            let attack = run.isAttacked ? "\(run.configuration.attack.rawValue) attack" : "no attack"
            let panel = CurvePanel(row: run.name, column: attack, curves: [run.curve], isAttacked: run.isAttacked)
            return panel.drawing.svg(title: "\(run.name): ACC and ASR by itself")
        }
        var legend = Drawing(width: CurvePanel.width, height: 20)
        CurveFigure.legend(&legend, y: 10)
        return Page.html(
            title: "FedClamp: \(runs.count) runs compared",
            body: """
                <header>
                <h1>\(runs.count) runs compared</h1>
                \(remarks.map { "<p class=\"note\">\(Markup.escaped($0))</p>" }.joined(separator: "\n"))
                </header>
                <main>
                <section id="differences">
                <h2>What differs</h2>
                \(optionsTable)
                </section>
                <section id="models">
                <h2>ACC and ASR</h2>
                \(TableSection(table: table).grid)
                <p class="legend">\(Markup.escaped(Self.legend))</p>
                </section>
                <section id="curves">
                <h2>Over the rounds</h2>
                <p class="legend">The global model after every round, before any defence on the model; round 0 is the initialised model.</p>
                <ul class="runs">\(runs.indices.map(legend(of:)).joined())</ul>
                <div class="panels pair">\(figures.joined())</div>
                <h3>Each by itself</h3>
                <p class="legend">\(legend.svg(title: "legend"))</p>
                <div class="panels">\(panels.joined())</div>
                </section>
                </main>
                """)
    }

    private var optionsTable: String {
        guard !differences.isEmpty else { return "<p>All options are the same.</p>" }
        func cells(_ texts: [String], _ tag: String) -> String {
            texts.map { "<\(tag) class=\"group\">\(Markup.escaped($0))</\(tag)>" }.joined()
        }
        let lines = differences.map { "<tr><th>\(Markup.escaped($0.name))</th>\(cells($0.values, "td"))</tr>" }
        let head = "<thead><tr><th>option</th>\(cells(runs.map(\.name), "th"))</tr></thead>"
        return "<div class=\"wide\"><table class=\"words\">\(head)<tbody>\(lines.joined())</tbody></table></div>"
    }

    /// A line's look, its run, and what is special about it; where more than this many options differ the table above says that better.
    private static let mostOptionsOfLegend = 3

    private func legend(of at: Int) -> String {
        let look = ComparisonFigure.look(at)
        var line = Drawing(width: 40, height: 12)
        line.line(2, 6, 38, 6, stroke: look.ink, width: 2, dashes: look.dashes)
        let told = differences.count > Self.mostOptionsOfLegend ? [] : differences
        let words = ([runs[at].name] + told.map { "\($0.name) \($0.values[at])" }).joined(separator: ", ")
        return "<li>\(line.svg(title: "line of run \(at + 1)")) <b>\(at + 1)</b> \(Markup.escaped(words))</li>"
    }
}
