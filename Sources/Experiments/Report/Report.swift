import Federation
import FoundationEssentials
import Numerics

/// All results as one HTML page: no other file is needed, no script runs. Pictures are inline SVG and PNG; what colour
/// tells, shape and text tell too; wide tables scroll by themselves, so that the page fits a phone.
struct Report {
    let results: Results

    var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>FedClamp: \(escaped(results.setting.dataset)), scale \(escaped(results.setting.scale))</title>
        <style>\(Self.style)</style>
        </head>
        <body>
        <header>
        <h1>Backdoors and bounds on \(escaped(results.setting.dataset))</h1>
        <p>\(escaped(results.provenance(results.setting.seeds))).</p>
        \(results.missing.isEmpty ? "" : "<p class=\"note\">\(results.missing.count) trainings are missing: their places are empty.</p>")
        <nav>\(contents.map { "<a href=\"#\($0.anchor)\">\(escaped($0.title))</a>" }.joined(separator: " "))</nav>
        </header>
        <main>
        \(results.tables.map(section).joined(separator: "\n"))
        \(illustrations)
        <section id="reading">
        <h2>How to read this</h2>
        <p>A <em>backdoor</em> is a hidden rule in a trained model: images that carry a trigger go to the attacker's class. Under the
        <b>classic</b> attack malicious clients plant it; under the novel one, <b>fm</b>, poisoned images of the foundation model do;
        <b>both</b> share trigger and target. <b>ACC</b> is the share of clean images classified right (higher is better), <b>ASR</b> the share of
        triggered images of other classes that go to the target (lower is better). The <b>floor</b> is that share for the same-seed run without
        attack: less cannot be asked for.</p>
        <p>The method is that of Bi and Li, <a href="https://arxiv.org/abs/2410.17573">arXiv 2410.17573</a>. The tables paper-1 to
        paper-3 and paper-attack show its printed figures beside ours. Further figures, of any paper, can be put into the file
        \(PaperFigures.file) of this folder (\(PaperFigures.header.joined(separator: ","))); they appear in the tables in brackets.</p>
        </section>
        </main>
        </body>
        </html>

        """
    }

    private var contents: [(anchor: String, title: String)] {
        results.tables.map { ($0.name, $0.name) } + (results.illustrations.isEmpty ? [] : [("inside", "images and activations")]) + [("reading", "how to read this")]
    }

    private func section(_ table: TableResult) -> String {
        var parts = ["<section id=\"\(table.name)\">", "<h2>\(escaped(table.name)): \(escaped(table.caption))</h2>"]
        if !table.claim.isEmpty { parts.append("<p class=\"claim\"><b>Claimed:</b> \(escaped(table.claim))</p>") }
        parts += [grid(table), "<p class=\"legend\">\(escaped(table.legend))</p>"]
        if let bars = table.bars { parts.append("<div class=\"wide\">\(BarFigure(table: table, bars: bars).svg)</div>") }
        let panels = table.rows.indices.flatMap { row in
            table.columns.indices.compactMap { table.curves[row][$0].isEmpty ? nil : table.curvePanel(row, $0) }
        }
        if !panels.isEmpty {
            var legend = Drawing(width: CurvePanel.width, height: 20)
            CurveFigure.legend(&legend, y: 10)
            parts += ["<h3>Over the rounds</h3>", "<p class=\"legend\">The shared model after every round, before any defence on the model. \(legend.svg(title: "legend"))</p>",
                      "<div class=\"panels\">", panels.map { $0.drawing.svg(title: "\($0.row), \($0.column): ACC and ASR over the rounds") }.joined(), "</div>"]
        }
        return (parts + ["</section>"]).joined(separator: "\n")
    }

    /// The table itself, columns in groups.
    private func grid(_ table: TableResult) -> String {
        var lines = ["<div class=\"wide\"><table>", "<thead><tr><th rowspan=\"2\">\(escaped(table.rowTitle))</th>"]
        lines += table.columns.indices.map { "<th class=\"group\" colspan=\"\(table.measures($0).count)\">\(escaped(table.columns[$0]))</th>" }
        lines.append("</tr><tr>")
        lines += table.columns.indices.flatMap { cells(table.measures($0).map(\.title), tag: "th") }
        lines.append("</tr></thead><tbody>")
        for row in table.rows.indices {
            lines.append("<tr><th>\(escaped(table.rows[row]))</th>")
            lines += table.columns.indices.flatMap { column in cells(table.measures(column).map { number(table, row, column, $0) }, tag: "td") }
            lines.append("</tr>")
        }
        return (lines + ["</tbody></table></div>"]).joined()
    }

    /// The mean, and the paper's figure in brackets where the user gave one.
    private func number(_ table: TableResult, _ row: Int, _ column: Int, _ measure: Measure) -> String {
        let paper = results.paper.value(table.name, table.rows[row], table.columns[column], measure)
        return table.summary(row, column, measure, plusMinus: " ± ") + (paper.map { " [\(Numbers.fixed($0, measure.decimals))]" } ?? "")
    }

    /// A group's cells, the first with a line at its left.
    private func cells(_ texts: [String], tag: String) -> [String] {
        texts.enumerated().map { "<\(tag)\($0 == 0 ? " class=\"group\"" : "")>\(escaped($1))</\(tag)>" }
    }

    private var illustrations: String {
        guard !results.illustrations.isEmpty else { return "" }
        let parts = results.illustrations.map { shown in
            "<h3>\(escaped(shown.title))</h3>\n" + shown.illustration.strips.map(figure).joined(separator: "\n")
                + "\n<div class=\"panels large\">" + shown.illustration.histograms.map {
                    HistogramPanel(histogram: $0).drawing.svg(title: "\($0.layer): clean and triggered activations, and the bound")
                }.joined() + "</div>"
        }
        return """
        <section id="inside">
        <h2>Images and activations</h2>
        <p class="legend">For each layer the channel in which the bound z cuts most triggered images beyond the clean ones: its largest activation
        in each image, before any bound. Filled bars are clean images, the dashed outline the same images triggered, the thick line is z. A backdoor
        that needs activations to the right of z is cut off.</p>
        \(parts.joined(separator: "\n"))
        </section>
        """
    }

    private func figure(_ strip: Illustration.Strip) -> String {
        let png = Data(PNG.strip(strip.pixels, channels: strip.channels, side: strip.side)).base64EncodedString()
        let alike = strip.labels.count > 1 && Set(strip.labels).count == 1
        let labels = escaped(alike ? "all \(strip.labels[0])" : strip.labels.joined(separator: ", ")), name = escaped(strip.name)
        return "<figure><img alt=\"\(name): \(labels)\" width=\"\(strip.labels.count * (strip.side + 2) * 2)\" src=\"data:image/png;base64,\(png)\">"
            + "<figcaption><b>\(name)</b>: \(labels)</figcaption></figure>"
    }

    private func escaped(_ text: String) -> String { Markup.escaped(text) }

    private static let style = """

        :root { color-scheme: light; }
        body { margin: 0 auto; max-width: 64rem; padding: 0 1rem 3rem; background: #fff; color: #111; font: 16px/1.45 system-ui, Helvetica, Arial, sans-serif; }
        h1 { font-size: 1.6rem; margin: 1.2rem 0 .4rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .5rem; border-bottom: 2px solid #111; } h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
        nav a { display: inline-block; margin: 0 .8rem .4rem 0; padding: .3rem 0; }
        .claim { border-left: 4px solid #111; padding-left: .8rem; } .legend, figcaption { font-size: .85rem; color: #333; } .note { font-weight: bold; }
        .legend svg { vertical-align: middle; }
        .wide { overflow-x: auto; margin: .6rem 0; } .wide svg { display: block; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
        th, td { padding: .25rem .5rem; text-align: right; } th { font-weight: 600; } tbody th, thead tr:first-child th:first-child { text-align: left; }
        tbody th { position: sticky; left: 0; background: inherit; } tbody tr { background: #fff; } tbody tr:nth-child(odd) { background: #f2f2f2; }
        thead { border-bottom: 1px solid #111; } th.group { text-align: right; } thead tr:first-child th.group { text-align: center; } .group { border-left: 1px solid #999; }
        .panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: .6rem; } .panels svg { width: 100%; height: auto; max-width: 20rem; }
        .panels.large { grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); }
        figure { margin: .6rem 0; } figure img { max-width: 100%; height: auto; image-rendering: pixelated; border: 1px solid #999; }
        @media (max-width: 30rem) { body { padding: 0 .6rem 2rem; font-size: 15px; } th, td { padding: .25rem .35rem; font-size: .85rem; } }
        @media print { .wide { overflow: visible; } section { break-inside: avoid; } }

        """
}
