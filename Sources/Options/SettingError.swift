/// An option that does not exist, or a value that it does not take.
public struct SettingError: Error, Equatable, CustomStringConvertible {
    /// The option's name without dashes.
    public var name: String
    /// Nil for an option that does not exist.
    public var given: String?
    public var expected: String

    public init(_ name: String, given: String?, expected: String) {
        (self.name, self.given, self.expected) = (name, given, expected)
    }

    static func unknown(_ name: String, among names: [String]) -> SettingError {
        SettingError(name, given: nil, expected: "the name of an option\(suggestion(name, names))")
    }

    /// At most so many characters of what was given are repeated.
    private static let most = 100

    /// As on the command line: "--clients 0: expected a whole number from 1".
    public var description: String {
        guard let given else { return "there is no option --\(name.prefix(Self.most)): expected \(expected)" }
        return "--\(name) \(given.isEmpty ? "\"\"" : String(given.prefix(Self.most))): expected \(expected)"
    }

    /// As in a file: "clients: expected a whole number from 1, got 0".
    public var inFile: String {
        guard let given else { return "unknown key \"\(name.prefix(Self.most))\": expected \(expected)" }
        return "\(name): expected \(expected), got \(given.isEmpty ? "\"\"" : String(given.prefix(Self.most)))"
    }
}

/// "; did you mean ...?" where a name is near, else nothing.
public func suggestion(_ given: String, _ names: [String]) -> String {
    let near = names.map { (distance(given.lowercased(), $0), $0) }.min { $0.0 < $1.0 }
    guard let (edits, name) = near else { return "" }
    guard edits <= max(2, name.count / 3) || name.hasPrefix(given) && given.count > 1 else { return "" }
    return "; did you mean \"\(name)\"?"
}

/// Levenshtein's distance: insertions, deletions and replacements from `a` to `b`.
func distance(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for j in b.indices {
            (diagonal, row[j + 1]) = (row[j + 1], min(row[j + 1] + 1, row[j] + 1, diagonal + (x == b[j] ? 0 : 1)))
        }
    }
    return row[b.count]
}
