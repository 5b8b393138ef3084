/// What JSON holds for an option. A number is kept as its text, which is exact for whole numbers and for doubles.
public enum SettingScalar: Equatable, Sendable {
    case null, flag(Bool), number(String), text(String), list([String])

    /// For errors.
    var shown: String {
        switch self {
        case .null: "null"
        case let .flag(value): "\(value)"
        case let .number(text): text
        case let .text(text): "\"\(text)\""
        case let .list(names): "\(names)"
        }
    }
}

extension SettingScalar: Codable {
    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let flag = try? value.decode(Bool.self) {
            self = .flag(flag)
        } else if let whole = try? value.decode(UInt64.self) {
            self = .number("\(whole)")
        } else if let whole = try? value.decode(Int.self) {
            self = .number("\(whole)")
        } else if let number = try? value.decode(Double.self) {
            self = .number("\(number)")
        } else if let text = try? value.decode(String.self) {
            self = .text(text)
        } else {
            self = .list(try value.decode([String].self))
        }
    }

    /// Throws for a number that is not finite.
    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case let .flag(flag): try value.encode(flag)
        case let .text(text): try value.encode(text)
        case let .list(names): try value.encode(names)
        case let .number(text):
            if let whole = UInt64(text) { try value.encode(whole) } else { try value.encode(Double(text) ?? .nan) }
        }
    }
}
