import Glibc

/// Texts of help.
enum Help {
    /// Columns of an example, at most. The parser wraps every text before the terminal's last column.
    private static let width = min(61, max(1, getenv("COLUMNS").flatMap { Int(String(cString: $0)) } ?? terminal ?? 80)) - 1

    /// Columns of the terminal that stdout is; nil for none.
    private static var terminal: Int? {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : nil
    }

    /// The text with the examples in it, lines that begin with two spaces and the program's name, broken as a shell joins them again: they
    /// survive copying from a narrow terminal.
    static func folded(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.hasPrefix("  fedclamp ") ? folded(example: String(line)) : String(line)
        }.joined(separator: "\n")
    }

    /// Broken before options, so that each stays with its value, and before words where that is not enough.
    private static func folded(example: String) -> String {
        var lines: [String] = []
        for word in words(example) {
            if let last = lines.last, last.count + word.count + 3 <= width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append((lines.isEmpty ? "  " : deeper) + word)
            }
        }
        return lines.joined(separator: " \\\n")
    }

    /// What lines that go on begin with.
    private static let deeper = "      "

    /// Words, an option together with its value where both have room in a line.
    private static func words(_ example: String) -> [String] {
        var words: [String] = []
        for word in example.split(separator: " ").map(String.init) {
            if let last = words.last, last.hasPrefix("--"), !last.contains(" "), !word.hasPrefix("--"),
                deeper.count + last.count + word.count + 3 <= width
            {
                words[words.count - 1] = "\(last) \(word)"
            } else {
                words.append(word)
            }
        }
        return words
    }
}
