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
        }
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
