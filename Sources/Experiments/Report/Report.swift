import Federation
import FoundationEssentials
import Numerics

/// All results as one HTML page: no other file is needed, no script runs. Pictures are inline SVG and PNG; what colour
/// tells, shape and text tell too; wide tables scroll by themselves, so that the page fits a phone.
struct Report {
    let results: Results

    var html: String {
        Page.html(
            title: "FedClamp: \(results.setting.dataset), \(results.setting.isSweep ? "a sweep" : "scale \(results.setting.scale)")",
            body: """
                <header>
                <h1>Backdoors and bounds on \(escaped(results.setting.dataset))</h1>
                <p>\(escaped(results.provenance(results.setting.seeds))).</p>
                \(results.missing.isEmpty ? "" : "<p class=\"note\">Missing: \(Numbers.counted(results.missing.count, "training")); places are empty.</p>")
                <nav>\(contents.map { "<a href=\"#\($0.anchor)\">\(escaped($0.title))</a>" }.joined(separator: " "))</nav>
                </header>
                <main>
                \(results.tables.map { TableSection(table: $0, paper: results.paper).html }.joined(separator: "\n"))
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
                """)
    }

    private var contents: [(anchor: String, title: String)] {
        results.tables.map { ($0.name, $0.name) } + (results.illustrations.isEmpty ? [] : [("inside", "images and activations")]) + [
            ("reading", "how to read this")
        ]
    }

    private var illustrations: String {
        guard !results.illustrations.isEmpty else { return "" }
        let parts = results.illustrations.map { shown in
            "<h3>\(escaped(shown.title))</h3>\n" + shown.illustration.strips.map(figure).joined(separator: "\n")
                + "\n<div class=\"panels large\">"
                + shown.illustration.histograms.map {
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
        return
            "<figure><img alt=\"\(name): \(labels)\" width=\"\(strip.labels.count * (strip.side + 2) * 2)\" src=\"data:image/png;base64,\(png)\">"
            + "<figcaption><b>\(name)</b>: \(labels)</figcaption></figure>"
    }

    private func escaped(_ text: String) -> String { Markup.escaped(text) }
}
