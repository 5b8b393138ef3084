/// Texts of help.
enum Help {
    /// Columns that no terminal is narrower than; help is wrapped at the terminal's own width.
    private static let narrow = 60

    /// The text with the examples in it, lines that begin with two spaces and the program's name, broken as a shell joins them again: they
    /// survive copying from a narrow terminal.
    static func folded(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            line.hasPrefix("  fedclamp ") ? folded(example: String(line)) : String(line)
        }.joined(separator: "\n")
    }

    /// Broken before options, so that each stays with its value, and before paths where that is not enough.
    private static func folded(example: String) -> String {
        var lines: [String] = [], line = ""
        for word in words(example) {
            if !line.isEmpty, line.count + word.count + 3 > narrow {
                lines.append(line)
                line = "    "
            }
            line += line.allSatisfy { $0 == " " } ? (line.isEmpty ? "  " : "  ") + word : " " + word
        }
        return (lines + [line]).joined(separator: " \\\n")
    }

    /// Words, an option together with its value.
    private static func words(_ example: String) -> [String] {
        var words: [String] = []
        for word in example.split(separator: " ").map(String.init) {
            if let last = words.last, last.hasPrefix("--"), !last.contains(" "), !word.hasPrefix("--") {
                words[words.count - 1] = "\(last) \(word)"
            } else {
                words.append(word)
            }
        }
        return words
    }
}
