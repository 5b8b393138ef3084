import Numerics

/// One layer's activations: clean images as filled bars, triggered ones as a dashed outline, the bound as a thick line.
struct HistogramPanel {
    static let width = 220.0, height = 140.0
    let histogram: Illustration.Histogram

    private let left = 10.0, right = 10.0, top = 34.0, bottom = 18.0

    var drawing: Drawing {
        var drawing = Drawing(width: Self.width, height: Self.height)
        drawing.text(left, 13, "\(histogram.layer), channel \(histogram.channel)", size: 11, bold: true)
        drawing.text(left, 26, "above z: clean \(percent(histogram.cleanOver)), triggered \(percent(histogram.triggeredOver))", size: 10)
        let bins = histogram.clean.count, step = (Self.width - left - right) / Double(max(1, bins)), base = Self.height - bottom
        let most = Double(max(1, histogram.clean.max() ?? 0, histogram.triggered.max() ?? 0))
        func y(_ count: Int) -> Double { base - Double(count) / most * (base - top) }
        for (bin, count) in histogram.clean.enumerated() where count > 0 {
            drawing.rectangle(
                left + Double(bin) * step, y(count), step, base - y(count), fill: Drawing.Ink.accuracyFill, stroke: Drawing.Ink.accuracy,
                width: 0.5)
        }
        var outline: [(x: Double, y: Double)] = [(left, base)]
        for (bin, count) in histogram.triggered.enumerated() {
            outline += [(left + Double(bin) * step, y(count)), (left + Double(bin + 1) * step, y(count))]
        }
        drawing.polyline(outline + [(Self.width - right, base)], stroke: Drawing.Ink.attack, width: 1.6, dashes: "4 2")
        drawing.line(left, base, Self.width - right, base)
        drawing.text(left, Self.height - 5, "0", size: 10)
        let x = left + histogram.bound / histogram.high * (Self.width - left - right)
        if !histogram.bound.isFinite || x < Self.width - 70 {
            drawing.text(Self.width - right, Self.height - 5, Numbers.fixed(histogram.high, 1), anchor: .end, size: 10)
        }
        if histogram.bound.isFinite {
            drawing.line(x, top - 2, x, base, width: 2.2)
            drawing.text(
                min(max(x, left + 40), Self.width - right - 22), Self.height - 5, "z = \(Numbers.fixed(histogram.bound, 2))",
                anchor: .middle, size: 10, bold: true)
        }
        return drawing
    }

    private func percent(_ share: Double) -> String { "\(Numbers.fixed(100 * share, 0)) %" }
}

/// All layers of one training in a picture, for a paper.
struct HistogramFigure {
    let title: String
    let histograms: [Illustration.Histogram]

    var svg: String {
        let gap = 12.0, across = 4, lines = (histograms.count + across - 1) / across
        var drawing = Drawing(
            width: Double(across) * (HistogramPanel.width + gap), height: Double(lines) * (HistogramPanel.height + gap) + 24)
        for (at, histogram) in histograms.enumerated() {
            drawing.add(
                HistogramPanel(histogram: histogram).drawing, Double(at % across) * (HistogramPanel.width + gap),
                Double(at / across) * (HistogramPanel.height + gap))
        }
        let y = drawing.height - 12
        drawing.rectangle(10, y - 6, 24, 10, fill: Drawing.Ink.accuracyFill, stroke: Drawing.Ink.accuracy)
        drawing.text(40, y + 4, "clean images")
        drawing.line(140, y, 170, y, stroke: Drawing.Ink.attack, width: 1.6, dashes: "4 2")
        drawing.text(176, y + 4, "the same images, triggered")
        drawing.line(360, y - 7, 360, y + 6, width: 2.2)
        drawing.text(368, y + 4, "the bound z")
        return drawing.svg(title: "Largest activation of a channel in each image, without bounds: \(title)")
    }
}
