/// Numbers from `lower` to `upper`; infinity and NaN are in none.
public struct Interval: Equatable, Sendable {
    public let lower: Double, upper: Double
    /// Whether the ends themselves belong to it.
    public let includesLower: Bool, includesUpper: Bool

    public init(_ lower: Double, _ upper: Double, includesLower: Bool = true, includesUpper: Bool = true) {
        (self.lower, self.upper) = (lower, upper)
        (self.includesLower, self.includesUpper) = (includesLower, includesUpper)
    }

    public func contains(_ x: Double) -> Bool {
        x.isFinite && (includesLower ? x >= lower : x > lower) && (includesUpper ? x <= upper : x < upper)
    }

    /// "from 0, below 1".
    var text: String {
        let start = "\(includesLower ? "from" : "above") \(Self.plain(lower))"
        guard upper.isFinite else { return start }
        if includesLower, includesUpper { return "\(start) to \(Self.plain(upper))" }
        return "\(start), \(includesUpper ? "up to" : "below") \(Self.plain(upper))"
    }

    static func plain(_ x: Double) -> String { Int(exactly: x).map { "\($0)" } ?? "\(x)" }
}

/// The values that an option takes, with words for them: they stand in errors, in help and in completions.
public struct Allowed: Sendable {
    /// For errors, after "expected"; nil: what the value's type says.
    public let expected: String?
    public let interval: Interval?
    /// The only names that are allowed, for errors and completions; nil for any. "square:N" allows any whole number N.
    public let names: [String]?
    /// For help: "from 1". The limit against typing errors is left out.
    let brief: String?
    /// Texts that are allowed besides `names`.
    private let isAllowed: (@Sendable (String) -> Bool)?

    public init(
        _ expected: String?, interval: Interval? = nil, names: [String]? = nil, brief: String? = nil,
        alsoIf isAllowed: (@Sendable (String) -> Bool)? = nil
    ) {
        (self.expected, self.interval, self.names, self.brief, self.isAllowed) = (expected, interval, names, brief, isAllowed)
    }

    /// All that the type allows.
    public static let any = Allowed(nil)

    /// The largest number of anything: a limit against typing errors, far above what a machine can hold.
    public static let mostCount = 1_000_000_000

    public static func count(from least: Int, _ noun: String = "a whole number") -> Allowed {
        whole(least...mostCount, noun)
    }

    public static func whole(_ range: ClosedRange<Int>, _ noun: String = "a whole number") -> Allowed {
        number(Interval(Double(range.lowerBound), Double(range.upperBound)), noun)
    }

    /// From 0 to 1.
    public static let fraction = number(Interval(0, 1), "a fraction")
    public static let fractionAboveZero = number(Interval(0, 1, includesLower: false), "a fraction")
    public static let fractionBelowOne = number(Interval(0, 1, includesUpper: false), "a fraction")
    /// Neither 0 nor 1.
    public static let properFraction = number(Interval(0, 1, includesLower: false, includesUpper: false), "a fraction")
    public static let positive = number(Interval(0, .infinity, includesLower: false))
    public static let notNegative = number(Interval(0, .infinity))

    public static func number(_ interval: Interval, _ noun: String = "a number") -> Allowed {
        let brief = interval.upper == Double(mostCount) ? "from \(Interval.plain(interval.lower))" : interval.text
        return Allowed("\(noun) \(interval.text)", interval: interval, brief: brief)
    }

    /// - Parameter isAllowed: texts that are allowed besides.
    public static func oneOf(_ names: [String], expected: String? = nil, orIf isAllowed: (@Sendable (String) -> Bool)? = nil) -> Allowed {
        Allowed(expected ?? "one of: \(names.joined(separator: ", "))", names: names, alsoIf: isAllowed)
    }

    /// Texts of a form.
    public static func named(_ expected: String, _ isAllowed: @escaping @Sendable (String) -> Bool) -> Allowed {
        Allowed(expected, alsoIf: isAllowed)
    }

    /// The first word of a value that is not allowed, or all of it; nil where it is allowed. "Not set" always is.
    func fault<Value: SettingValue>(in value: Value) -> String? {
        if let interval, let number = value.number, !interval.contains(number) { return value.text }
        guard names != nil || isAllowed != nil, value != Value.unset else { return nil }
        return value.words.first { word in
            !(names?.contains(word) ?? false) && !(names?.contains(Self.numbered(word)) ?? false) && !(isAllowed?(word) ?? false)
        }
    }

    /// Whether a name is one of the choices.
    public func allows(_ name: String) -> Bool { fault(in: name) == nil }

    /// "square:10" as "square:N"; other words as they are.
    private static func numbered(_ word: String) -> String {
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 2 && Int(parts[1]) != nil ? "\(parts[0]):N" : word
    }
}
