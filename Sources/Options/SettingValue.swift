/// A value that an option can have. Command lines and configuration files hold it as text, run files as JSON.
public protocol SettingValue: Equatable, Sendable {
    static var form: SettingForm { get }
    /// What a text must be, for errors: "a whole number".
    static var expected: String { get }
    /// All values as text, where they are few and known; else none.
    static var choices: [String] { get }
    /// The value that stands for "not set"; nil for types that have none.
    static var unset: Self? { get }
    /// Nil for a text that is no value of this type.
    init?(text: String)
    /// Reads back as the same value.
    var text: String { get }
    /// Nil for JSON that is no value of this type.
    init?(scalar: SettingScalar)
    var scalar: SettingScalar { get }
    /// The number that a range is about; nil where there is none.
    var number: Double? { get }
    /// The names that a list of choices is about.
    var words: [String] { get }
}

/// How an option is given: `--name`, `--name VALUE`, or `--name VALUE` any number of times.
public enum SettingForm: Sendable {
    case flag, single, list
}

extension SettingValue {
    public static var form: SettingForm { .single }
    public static var choices: [String] { [] }
    public static var unset: Self? { nil }
    public var number: Double? { nil }
    public var words: [String] { [] }
    public var scalar: SettingScalar { .text(text) }

    public init?(scalar: SettingScalar) {
        guard case let .text(text) = scalar else { return nil }
        self.init(text: text)
    }

    func isEqual(_ other: any SettingValue) -> Bool { other as? Self == self }
}

/// Names, of which each is a case.
extension SettingValue where Self: RawRepresentable & CaseIterable, RawValue == String {
    public static var choices: [String] { allCases.map(\.rawValue) }
    public static var expected: String { "one of: \(choices.joined(separator: ", "))" }
    public init?(text: String) { self.init(rawValue: text) }
    public var text: String { rawValue }
}

/// What JSON holds as a number.
public protocol SettingNumber: SettingValue, LosslessStringConvertible {}

extension SettingNumber {
    public init?(text: String) { self.init(text) }
    public var text: String { description }
    public var scalar: SettingScalar { .number(description) }

    public init?(scalar: SettingScalar) {
        guard case let .number(text) = scalar else { return nil }
        self.init(text)
    }
}

extension Int: SettingNumber {
    public static var expected: String { "a whole number" }
    public var number: Double? { Double(self) }
}

extension UInt64: SettingNumber {
    public static var expected: String { "a whole number from 0 to \(UInt64.max)" }
}

extension Double: SettingNumber {
    /// Whole numbers without a point.
    public var text: String { abs(self) < 1e15 ? Int(exactly: self).map { "\($0)" } ?? description : description }
    public static var expected: String { "a number" }
    public var number: Double? { self }
}

extension Bool: SettingValue {
    public static var form: SettingForm { .flag }
    public static var expected: String { "true or false" }
    public init?(text: String) { self.init(text) }
    public var text: String { description }
    public var scalar: SettingScalar { .flag(self) }

    public init?(scalar: SettingScalar) {
        guard case let .flag(value) = scalar else { return nil }
        self = value
    }
}

extension String: SettingValue {
    public static var expected: String { "a text" }
    public init?(text: String) { self = text }
    public var text: String { self }
    public var words: [String] { [self] }
}

/// Names, separated by white space or commas where they stand in one text.
extension Array: SettingValue where Element == String {
    public static var form: SettingForm { .list }
    public static var expected: String { "names" }
    public init?(text: String) { self = Self.names(text) }

    /// A path after "exec:" may have white space and commas in it: such a name goes to its last part with a slash or a dot, which no other
    /// name has.
    private static func names(_ text: String) -> [String] {
        let parts = text.split { $0.isWhitespace || $0 == "," }
        var names: [String] = [], at = 0
        while at < parts.count {
            var last = at
            if parts[at].hasPrefix("exec:") {
                for next in parts.indices[(at + 1)...] where !parts[next].hasPrefix("exec:") {
                    if parts[at + 1...next].contains(where: { $0.hasPrefix("exec:") }) { break }
                    if parts[next].contains("/") || parts[next].contains(".") { last = next }
                }
            }
            names.append(String(text[parts[at].startIndex..<parts[last].endIndex]))
            at = last + 1
        }
        return names
    }
    public var text: String { joined(separator: " ") }
    public var words: [String] { self }
    public var scalar: SettingScalar { .list(self) }

    public init?(scalar: SettingScalar) {
        guard case let .list(names) = scalar else { return nil }
        self = names
    }
}

/// Nil is "not set".
extension Optional: SettingValue where Wrapped: SettingValue {
    public static var form: SettingForm { Wrapped.form }
    public static var expected: String { Wrapped.expected }
    public static var choices: [String] { Wrapped.choices }
    public static var unset: Self? { .some(nil) }
    public var text: String { self?.text ?? "" }
    public var scalar: SettingScalar { self?.scalar ?? .null }
    public var number: Double? { flatMap(\.number) }
    public var words: [String] { self?.words ?? [] }

    public init?(text: String) {
        guard let value = Wrapped(text: text) else { return nil }
        self = value
    }

    public init?(scalar: SettingScalar) {
        if case .null = scalar { self = nil; return }
        guard let value = Wrapped(scalar: scalar) else { return nil }
        self = value
    }
}
