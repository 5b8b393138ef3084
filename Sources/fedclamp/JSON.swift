import HDF5

/// JSON with keys in the order given. What is not a number (NaN, infinity) is null.
enum JSON {
    case object([(String, JSON)])
    case array([JSON])
    case text(String)
    case number(Double)
    case whole(Int)
    case flag(Bool)
    case null
    /// A number as its text, exact.
    case numeral(String)

    /// One value, indented by two spaces a level; arrays of plain values stay on one line.
    func rendered(_ indent: String = "") -> String {
        let deeper = indent + "  "
        switch self {
        case let .object(members):
            guard !members.isEmpty else { return "{}" }
            let lines = members.map { "\(deeper)\(Self.quoted($0.0)): \($0.1.rendered(deeper))" }
            return "{\n\(lines.joined(separator: ",\n"))\n\(indent)}"
        case let .array(elements):
            guard elements.contains(where: \.isNested) else {
                return "[" + elements.map { $0.rendered() }.joined(separator: ", ") + "]"
            }
            return "[\n" + elements.map { deeper + $0.rendered(deeper) }.joined(separator: ",\n") + "\n\(indent)]"
        case let .text(text): return Self.quoted(text)
        case let .number(value): return value.isFinite ? "\(value)" : "null"
        case let .whole(value): return "\(value)"
        case let .flag(value): return "\(value)"
        case .null: return "null"
        case let .numeral(text): return text
        }
    }

    /// A text of people as a program wants it: numbers as numbers, true and false as such.
    static func plain(_ text: String) -> JSON {
        if text == "true" || text == "false" { return .flag(text == "true") }
        return isNumber(text) ? .numeral(text) : .text(text)
    }

    /// Likewise, of what `inspect` found: 549,994 is one number, and numbers between spaces, or commas and spaces, are several.
    static func fact(_ text: String) -> JSON {
        let groups = text.split(separator: ",", omittingEmptySubsequences: false)
        if groups.count > 1, groups.dropFirst().allSatisfy({ $0.utf8.count == 3 && !$0.contains(".") }), isNumber(groups.joined()) {
            return .numeral(groups.joined())
        }
        let parts = text.split(separator: " ").map { $0.hasSuffix(",") ? $0.dropLast() : $0 }.map(String.init)
        return parts.count > 1 && parts.allSatisfy(isNumber) ? .array(parts.map(JSON.numeral)) : plain(text)
    }

    /// Digits of more than these places are a name.
    private static let longestNumber = 20

    /// Whether a text is a number as JSON writes it: -12, 0.5, 1e-05.
    private static func isNumber(_ text: String) -> Bool {
        guard text.utf8.count <= longestNumber else { return false }
        var rest = Substring(text)
        func digits() -> Substring {
            let found = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(found.count)
            return found
        }
        func take(_ characters: String) -> Bool {
            guard let first = rest.first, characters.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        _ = take("-")
        let whole = digits()
        guard !whole.isEmpty, whole.count == 1 || whole.first != "0" else { return false }
        if take("."), digits().isEmpty { return false }
        if take("e") {
            _ = take("+-")
            if digits().isEmpty { return false }
        }
        return rest.isEmpty
    }

    /// On one line.
    var line: String {
        switch self {
        case let .object(members): "{" + members.map { "\(Self.quoted($0.0)): \($0.1.line)" }.joined(separator: ", ") + "}"
        case let .array(elements): "[" + elements.map(\.line).joined(separator: ", ") + "]"
        default: rendered()
        }
    }

    private var isNested: Bool {
        switch self {
        case .object, .array: true
        default: false
        }
    }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in Files.shown(text).unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
