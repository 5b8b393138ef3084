/// The declaration of one option of a run, and the only place where it is described. Parsing, configuration files,
/// validation, JSON, `inspect`, help, man page and completions are made from it.
public struct Setting<Value: SettingValue>: AnySetting {
    public let name: String
    public let standard: Value
    public let allowed: Allowed
    public let unsetWord: String
    public let valueName: String
    public let summary: String
    public private(set) var section: Section
    public private(set) var effect: Effect
    private let explicitFormerNames: [String]
    private let trainingPart: @Sendable (Value) -> Value

    /// - Parameters:
    ///   - name: in lower case, words joined by "-": the one name, in every file and message.
    ///   - unset: how "not set" is shown and given, for values that may be so.
    ///   - value: what the value is, for help: "n".
    ///   - formerly: names in files that older versions wrote. The name in camel case is always one.
    ///   - part: the part of a value that the training depends on, for `changes: .partly`.
    ///   - section: where it stands in help. Defences and attacks leave it, and `changes`, to the list they are in.
    public init(
        _ name: String, _ section: Section = .defense, default standard: Value, in allowed: Allowed = .any,
        unset: String = "none", value: String = "", help: String, formerly: [String] = [],
        changes effect: Effect = .training(.always), part: @escaping @Sendable (Value) -> Value = { $0 }
    ) {
        (self.name, self.standard, self.allowed, unsetWord) = (name, standard, allowed, unset)
        (valueName, summary, explicitFormerNames) = (value, help, formerly)
        (self.section, self.effect, trainingPart) = (section, effect, part)
    }

    public var form: SettingForm { Value.form }
    public var expected: String { allowed.expected ?? Value.expected }
    public var choices: [String] { allowed.names ?? Value.choices }
    public var standardText: String { shown(standard) }
    public var formerNames: [String] { explicitFormerNames + [camelCase(name)].filter { $0 != name } }

    public func belonging(to section: Section, _ condition: Condition) -> any AnySetting {
        var copy = self
        (copy.section, copy.effect) = (section, .training(condition))
        return copy
    }

    /// The value that a text stands for. Throws `SettingError` for any other text.
    public func value(_ text: String) throws -> Value {
        if let unset = Value.unset, text == unsetWord || text == "none" { return unset }
        guard let value = Value(text: text) else { throw error(text) }
        if let fault = allowed.fault(in: value) { throw error(form == .list ? fault : text) }
        return value
    }

    public func check(_ value: Value) throws {
        if let fault = allowed.fault(in: value) { throw error(fault) }
    }

    private func error(_ given: String) -> SettingError {
        let near = suggestion(given, choices)
        return SettingError(name, given: given, expected: (expected.count <= Self.longList ? expected : "a name that --help lists") + near)
    }

    /// Longer lists of names are not repeated in an error.
    private static var longList: Int { 300 }

    private func shown(_ value: Value) -> String { value.text.isEmpty ? unsetWord : value.text }
}

/// A setting of any type of value, in a list of all.
public protocol AnySetting: Sendable {
    var name: String { get }
    /// Names in files that older versions wrote.
    var formerNames: [String] { get }
    var section: Section { get }
    var effect: Effect { get }
    var form: SettingForm { get }
    var allowed: Allowed { get }
    /// What a value must be, for errors.
    var expected: String { get }
    /// All values, where they are few and known; else none.
    var choices: [String] { get }
    var valueName: String { get }
    /// One sentence for help, without range and default.
    var summary: String { get }
    /// The default as it is shown.
    var standardText: String { get }
    /// The same setting as its owner's: a rule's, an attack's.
    func belonging(to section: Section, _ condition: Condition) -> any AnySetting

    func text(in settings: Settings) -> String
    func scalar(in settings: Settings) -> SettingScalar
    /// Sets what texts stand for; more than one for a list only. Throws `SettingError`.
    func set(_ texts: [String], in settings: inout Settings) throws
    func set(_ scalar: SettingScalar, in settings: inout Settings) throws
    func check(in settings: Settings) throws
    /// What a range is about; nil for other settings.
    func number(in settings: Settings) -> Double?
    func isStandard(in settings: Settings) -> Bool
    func reset(in settings: inout Settings)
    /// Sets the value that it has in `other`.
    func copy(from other: Settings, to settings: inout Settings)
    /// Leaves of the value what the training depends on.
    func keepTrainingPart(in settings: inout Settings)
}

extension Setting {
    public func text(in settings: Settings) -> String { shown(settings[self]) }
    public func scalar(in settings: Settings) -> SettingScalar { settings[self].scalar }
    public func check(in settings: Settings) throws { try check(settings[self]) }
    public func number(in settings: Settings) -> Double? { settings[self].number }
    public func isStandard(in settings: Settings) -> Bool { settings[self] == standard }
    public func reset(in settings: inout Settings) { settings[self] = standard }
    public func copy(from other: Settings, to settings: inout Settings) { settings[self] = other[self] }
    public func keepTrainingPart(in settings: inout Settings) { settings[self] = trainingPart(settings[self]) }

    public func set(_ texts: [String], in settings: inout Settings) throws {
        guard form == .list || texts.count == 1 else { throw error(texts.joined(separator: " ")) }
        settings[self] = try value(texts.joined(separator: " "))
    }

    public func set(_ scalar: SettingScalar, in settings: inout Settings) throws {
        guard let value = Value(scalar: scalar) else {
            throw SettingError(name, given: scalar.shown, expected: expected)
        }
        try check(value)
        settings[self] = value
    }
}

extension Settings {
    public subscript<Value>(setting: Setting<Value>) -> Value {
        get { values[setting.name] as? Value ?? setting.standard }
        set { values[setting.name] = newValue == setting.standard ? nil : newValue }
    }
}

extension AnySetting {
    /// For help: what it is, its range and its default.
    public var help: String {
        var text = summary
        if case let .training(.defended(name)) = effect {
            text = "Of \(name): \(summary.prefix(1).lowercased())\(summary.dropFirst())"
        }
        let range = allowed.brief ?? (choices.isEmpty || form == .list ? nil : choices.joined(separator: ", "))
        let notes = [range, form == .flag ? nil : "default: \(standardText)"].compactMap { $0 }
        return notes.isEmpty ? text : "\(text) (\(notes.joined(separator: "; ")))"
    }
}

/// "local-epochs" as "localEpochs".
private func camelCase(_ name: String) -> String {
    let words = name.split(separator: "-")
    return words.prefix(1).joined() + words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
}
