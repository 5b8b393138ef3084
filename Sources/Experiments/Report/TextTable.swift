/// Columns aligned with spaces: the first to the left, numbers to the right.
public struct TextTable {
    public enum Alignment: Sendable { case left, right }

    private var lines: [[String]] = []
    private let alignments: [Alignment]

    /// Columns beyond `alignments` are aligned to the right.
    public init(_ alignments: [Alignment] = [.left]) { self.alignments = alignments }

    public mutating func add(_ cells: [String]) { lines.append(cells) }

    /// Lines without an end of line each; no spaces at their ends.
    public func rendered(indent: Int = 0, gap: Int = 2) -> [String] {
        let columns = lines.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in lines.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return lines.map { cells in
            let padded = cells.enumerated().map { column, text in
                let space = String(repeating: " ", count: widths[column] - text.count)
                return (column < alignments.count ? alignments[column] : .right) == .left ? text + space : space + text
            }
            var line = String(repeating: " ", count: indent) + padded.joined(separator: String(repeating: " ", count: gap))
            while line.last == " " { line.removeLast() }
            return line
        }
    }
}
