import ArgumentParser

/// What stands between the command line as typed and the parser, and between the parser's words and the reader's.
enum ParserText {
    /// A value that is a number below zero is joined to its option: the parser takes it for another option otherwise, and says that a
    /// value is missing.
    static func joined(_ arguments: [String]) -> [String] {
        var joined: [String] = []
        for argument in arguments {
            if let option = joined.last, option.hasPrefix("--"), option.utf8.count > 2, !option.contains("="), isBelowZero(argument) {
                joined[joined.count - 1] = "\(option)=\(argument)"
            } else {
                joined.append(argument)
            }
        }
        return joined
    }

    private static func isBelowZero(_ text: String) -> Bool {
        guard text.hasPrefix("-"), let first = text.dropFirst().first else { return false }
        return first.isNumber || first == "."
    }

    /// The parser's "The value 'X' is invalid for '--NAME <n>': ..." in the form that errors have here: the option with its value, and what
    /// was expected. Other messages are returned as they are.
    static func said(_ message: String) -> String {
        let parts = message.split(separator: "'", maxSplits: 4, omittingEmptySubsequences: false)
        guard message.hasPrefix("The value '"), parts.count == 5, parts[2] == " is invalid for " else { return message }
        let words = parts[3].split(separator: " "), name = words.first ?? "", reason = parts[4].drop { $0 == ":" || $0 == " " }
        if reason.isEmpty {
            let isReal = words.last == "<s>"
            return "\(name) \(parts[1]): expected a \(isReal ? "number" : "whole number from 0, of at most 18 digits")"
        }
        return reason.hasPrefix("--") || !name.hasPrefix("--") ? String(reason) : "\(name) \(parts[1]): \(reason)"
    }
}
