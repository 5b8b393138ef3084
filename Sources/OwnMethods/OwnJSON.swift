import FoundationEssentials

/// The values that lines between us and an own method hold.
public enum OwnJSON: Equatable, Sendable, Codable {
    case null, flag(Bool), whole(Int), number(Double), text(String), list([OwnJSON]), object([String: OwnJSON])

    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let whole = try? value.decode(Int.self) {
            self = .whole(whole)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else if let list = try? value.decode([OwnJSON].self) {
            self = .list(list)
        } else {
            self = .object(try value.decode([String: OwnJSON].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case let .flag(flag): try value.encode(flag)
        case let .whole(whole): try value.encode(whole)
        case let .number(number): try value.encode(number)
        case let .text(text): try value.encode(text)
        case let .list(list): try value.encode(list)
        case let .object(members): try value.encode(members)
        }
    }

    /// One line, keys sorted. Throws for a number that is not finite.
    static func line(_ members: [String: OwnJSON]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(members), as: UTF8.self)
    }

    /// The members of a line that is a JSON object; nil for any other.
    public static func members(_ line: String) -> [String: OwnJSON]? {
        try? JSONDecoder().decode([String: OwnJSON].self, from: Data(line.utf8))
    }

    var text: String? {
        if case let .text(text) = self { text } else { nil }
    }

    /// A text, or the texts of a list.
    var texts: [String]? {
        switch self {
        case let .text(text): [text]
        case let .list(list): list.allSatisfy { $0.text != nil } ? list.compactMap(\.text) : nil
        default: nil
        }
    }

    /// For errors and findings: a number or text as it stands.
    var shown: String {
        switch self {
        case .null: "null"
        case let .flag(flag): "\(flag)"
        case let .whole(whole): "\(whole)"
        case let .number(number): "\(number)"
        case let .text(text): text
        case .list: "a list"
        case .object: "an object"
        }
    }
}
