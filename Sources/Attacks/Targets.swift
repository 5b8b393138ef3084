import Options

/// The classes that a backdoor leads to: "0", or several, "0,3,7", each with a trigger of its own (`Trigger.variant`).
public struct Targets: SettingValue, Hashable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    /// One at least, all different, in the order given.
    public let classes: [Int]

    public init(_ target: Int) { classes = [target] }
    public init(integerLiteral target: Int) { self.init(target) }

    /// Nil for none, and for a class that is given twice.
    public init?(classes: [Int]) {
        guard !classes.isEmpty, Set(classes).count == classes.count else { return nil }
        self.classes = classes
    }

    public init?(text: String) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false), classes = parts.compactMap { Int($0) }
        guard classes.count == parts.count else { return nil }
        self.init(classes: classes)
    }

    /// One is a number in JSON, as in files of before several.
    public init?(scalar: SettingScalar) {
        switch scalar {
        case let .number(text):
            guard let target = Int(text) else { return nil }
            self.init(target)
        case let .text(text):
            self.init(text: text)
            guard classes.count > 1 else { return nil }
        default: return nil
        }
    }

    public static let expected = "a class from 0, or several different ones: 0,3,7"
    public var text: String { classes.map { "\($0)" }.joined(separator: ",") }
    public var description: String { text }
    public var scalar: SettingScalar { classes.count == 1 ? .number(text) : .text(text) }
    /// The one that is most likely wrong.
    public var number: Double? { (classes.first { $0 < 0 } ?? classes.max()).map(Double.init) }
    public var first: Int { classes[0] }

    /// Throws `AttackError.target` for one that is not among so many classes.
    public func check(classes: Int) throws {
        if let target = self.classes.first(where: { !(0..<classes).contains($0) }) { throw AttackError.target(target, classes: classes) }
    }
}

extension Allowed {
    /// Classes from 0.
    public static let targets = Allowed(Targets.expected, interval: Interval(0, Double(mostCount)), brief: "from 0")
}
