import Numerics

/// An SVG picture, drawn piece by piece; coordinates in pixels from the upper left corner.
struct Drawing {
    let width: Double, height: Double
    private var elements: [String] = []

    init(width: Double, height: Double) { (self.width, self.height) = (width, height) }

    /// The accuracy's and the attack's look: told apart by shape as well as by colour.
    enum Ink {
        static let accuracy = "#1f4e79", accuracyFill = "#dbe7f3", attack = "#8c1c13", grid = "#ccc", black = "#000"
    }

    mutating func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, stroke: String = Ink.black, width: Double = 1, dashes: String = ""
    ) {
        elements.append("<line x1=\"\(n(x1))\" y1=\"\(n(y1))\" x2=\"\(n(x2))\" y2=\"\(n(y2))\"\(style("none", stroke, width, dashes))/>")
    }

    mutating func rectangle(
        _ x: Double, _ y: Double, _ w: Double, _ h: Double, fill: String = "none", stroke: String = "none", width: Double = 1
    ) {
        elements.append("<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"\(n(w))\" height=\"\(n(h))\"\(style(fill, stroke, width, ""))/>")
    }

    mutating func circle(_ x: Double, _ y: Double, _ r: Double, fill: String) {
        elements.append("<circle cx=\"\(n(x))\" cy=\"\(n(y))\" r=\"\(n(r))\" fill=\"\(fill)\"/>")
    }

    mutating func polyline(
        _ points: [(x: Double, y: Double)], stroke: String, width: Double = 1.5, dashes: String = "", fill: String = "none"
    ) {
        let text = points.map { "\(n($0.x)),\(n($0.y))" }.joined(separator: " ")
        elements.append("<polyline points=\"\(text)\"\(style(fill, stroke, width, dashes))/>")
    }

    enum Anchor: String { case start, middle, end }

    mutating func text(
        _ x: Double, _ y: Double, _ text: String, anchor: Anchor = .start, size: Int = 12, bold: Bool = false, fill: String = Ink.black
    ) {
        elements.append(
            "<text x=\"\(n(x))\" y=\"\(n(y))\" text-anchor=\"\(anchor.rawValue)\" font-size=\"\(size)\"\(bold ? " font-weight=\"bold\"" : "") fill=\"\(fill)\">\(Markup.escaped(text))</text>"
        )
    }

    /// Another picture, its corner at (x, y).
    mutating func add(_ other: Drawing, _ x: Double, _ y: Double) {
        elements.append("<g transform=\"translate(\(n(x)) \(n(y)))\">")
        elements += other.elements
        elements.append("</g>")
    }

    /// The whole picture on white.
    func svg(title: String) -> String {
        """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(n(width)) \(n(height))" width="\(n(width))" height="\(n(height))" \
        font-family="Helvetica, Arial, sans-serif" font-size="12" role="img">
        <title>\(Markup.escaped(title))</title>
        <rect width="\(n(width))" height="\(n(height))" fill="#fff"/>
        \(elements.joined(separator: "\n"))
        </svg>

        """
    }

    private func style(_ fill: String, _ stroke: String, _ width: Double, _ dashes: String) -> String {
        " fill=\"\(fill)\"" + (stroke == "none" ? "" : " stroke=\"\(stroke)\" stroke-width=\"\(n(width))\"")
            + (dashes.isEmpty ? "" : " stroke-dasharray=\"\(dashes)\"")
    }

    /// One decimal at most.
    private func n(_ value: Double) -> String {
        let text = Numbers.fixed(value, 1)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}

enum Markup {
    /// Text for HTML and SVG, also inside quoted attributes.
    static func escaped(_ text: String) -> String {
        text.map { $0 == "<" ? "&lt;" : $0 == ">" ? "&gt;" : $0 == "&" ? "&amp;" : $0 == "\"" ? "&quot;" : String($0) }.joined()
    }
}
