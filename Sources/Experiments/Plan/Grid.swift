import Attacks
import Defenses
import Federation
import HDF5
import Options
import OwnMethods
import Rules

/// Options of `run` with their values: one each, as `reproduce --set` gives them, or several, of which a sweep takes every combination.
///
/// The values of one option stand between bars, "0.01 | 0.02": no value has a bar in it, while lists of heads have commas. A value of
/// `defense` is what acts together, as in the rows of tables: "multi-krum + bounds".
public struct Grid: Equatable, Sendable {
    public struct Option: Equatable, Sendable {
        public let name: String
        /// As run files show them.
        public let values: [String]
        /// For each value, the defaults with that one option changed.
        fileprivate let meant: [RunConfiguration]

        public var text: String { values.joined(separator: " \(Grid.bar) ") }
        public var isVaried: Bool { values.count > 1 }

        /// The defence on the model whose option it is; nil for the options of trainings.
        var defenseOnModel: String? {
            let effect = RunConfiguration.settings.all.first { $0.name == name }?.effect
            if case let .training(.defended(by: owner)) = effect, !AllDefenses.shapesTraining(owner) { return owner }
            return nil
        }

        /// Whether it is an option of a defence on the model, and `name` is another or none: it then changes nothing.
        func isOfAnotherDefense(than name: String?) -> Bool {
            guard let owner = defenseOnModel else { return false }
            return name.map { $0.prefix { $0 != ":" } != owner } ?? true
        }
    }

    /// In the order in which they were given.
    public private(set) var options: [Option] = []

    static let bar = "|", and = " + "
    static let attack = RunConfiguration.declarations.attack.name, defense = RunConfiguration.declarations.defenses.name
    /// Cells, seeds counted, of one sweep.
    public static let most = 20_000

    public init() {}

    public var isEmpty: Bool { options.isEmpty }
    public var varied: [Option] { options.filter(\.isVaried) }
    public var fixed: [Option] { options.filter { !$0.isVaried } }

    public func option(_ name: String) -> Option? { options.first { $0.name == name } }

    /// Adds an option with the values of "a | b".
    ///
    /// - Throws: `SettingError` for an option that does not exist, that is not one of a training or that is there already, and for values
    ///   that it does not take, that are empty or that are given twice.
    public mutating func add(_ name: String, _ text: String) throws {
        if let instead = Self.ofTheCommand[name] { throw SettingError(name, given: text, expected: "an option of a training; \(instead)") }
        let setting = try RunConfiguration.settings.named(name)
        guard option(name) == nil else {
            throw SettingError(name, given: text, expected: "each option once" + (name == Self.defense ? Self.togetherOrNot : ""))
        }
        let parts = text.split(separator: Character(Self.bar), omittingEmptySubsequences: false).map { String($0).trimmed }
        guard !parts.contains("") else {
            throw SettingError(
                name, given: text,
                expected: parts.count == 1 ? "a value, or several with \"|\" between them" : "a value on both sides of every \"|\"")
        }
        try add(setting, parts)
    }

    private mutating func add(_ setting: any AnySetting, _ texts: [String]) throws {
        let values = try texts.map { try setting.name == Self.defense ? Self.defense($0) : Self.value(setting, $0) }
        if let twice = values.indices.first(where: { at in values[..<at].contains { $0.text == values[at].text } }) {
            throw SettingError(setting.name, given: texts[twice], expected: "each value once")
        }
        options.append(Option(name: setting.name, values: values.map(\.text), meant: values.map(\.meant)))
    }

    /// Options that each command has in its own way, and what they are called there.
    private static let ofTheCommand = [
        "seed": "seeds and first-seed choose the seeds", "data": "the command's own data names the data set",
        "synthetic": "the command's own synthetic names the FM data", "isa": "the command's own isa names the instruction set",
        "evaluate-on": "the command's own evaluate-on chooses the images to measure on",
    ]

    private static func value(_ setting: any AnySetting, _ text: String) throws -> (text: String, meant: RunConfiguration) {
        var meant = RunConfiguration()
        do { try meant.set(setting.name, text) } catch let error as SettingError {
            throw SettingError(
                setting.name, given: text, expected: error.expected + (text.contains(",") ? "; several values have \"|\" between them" : "")
            )
        }
        return (setting.text(in: meant.values), meant)
    }

    private static let togetherOrNot = "; \"A + B\" for both, \"A | B\" for one after the other"

    /// "A + B", each a name of its own: what acts together.
    private static func defense(_ text: String) throws -> (text: String, meant: RunConfiguration) {
        func wrong(_ expected: String) -> SettingError { SettingError(defense, given: text, expected: expected + togetherOrNot) }
        let parts = text.split(separator: and, omittingEmptySubsequences: false).map(String.init)
        for part in parts {
            guard !part.isEmpty, !part.contains(where: { $0.isWhitespace || $0 == "," }) else {
                throw wrong("one name, or several with \" + \" between them")
            }
            var alone = RunConfiguration()
            do { try alone.set(defense, part) } catch let error as SettingError {
                throw SettingError(defense, given: part, expected: error.expected)
            }
        }
        guard parts.count == 1 || !parts.contains(FedAvg.name) else { throw wrong("\(FedAvg.name) alone") }
        guard Set(parts).count == parts.count else { throw wrong("each name once") }
        let onModel = Recommended.expanded(parts).filter {
            !AllDefenses.shapesTraining($0) && $0 != FedAvg.name && !OwnMethod.isRequest($0)
        }
        guard onModel.count <= 1 else {
            throw wrong("at most one defence on the model (\(onModel.joined(separator: ", "))), which is what is measured")
        }
        return (parts.joined(separator: and), RunConfiguration())
    }

    /// With the identities of own methods in the place of what the user typed: starts programs and finds pictures. Only for what a command
    /// line, or a file that it names, asks for.
    ///
    /// - Throws: `OwnMethodError`, `SettingError`.
    public func granted() throws -> Grid {
        var grid = Grid()
        for option in options {
            let texts = try zip(option.values, option.meant).map { text, meant in
                guard option.name == Self.defense else { return try Self.granted(text, meant, option.name) }
                return try text.split(separator: Self.and).map(String.init).map { part in
                    OwnMethod.isRequest(part)
                        ? try OwnMethods.grant(part, as: AllDefenses.ownKinds).map(\.text).joined(separator: Self.and) : part
                }.joined(separator: Self.and)
            }
            try grid.add(RunConfiguration.settings.named(option.name), texts)
        }
        return grid
    }

    private static func granted(_ text: String, _ meant: RunConfiguration, _ name: String) throws -> String {
        guard OwnMethod.isRequest(text) else { return text }
        var meant = meant
        try meant.grantOwnMethods()
        return try RunConfiguration.settings.named(name).text(in: meant.values)
    }

    /// Whether something in it would have to be granted: never so in a folder's setting.
    var asksForOwnMethods: Bool {
        options.contains { $0.values.contains { $0.split(separator: Self.and).contains { OwnMethod.isRequest(String($0)) } } }
    }

    /// Sets the options that have one value, but for the attack and the defences, which a table's cells choose.
    func apply(to configuration: inout RunConfiguration) {
        for option in fixed where ![Self.attack, Self.defense].contains(option.name) { apply(option, 0, to: &configuration) }
    }

    func apply(_ option: Option, _ at: Int, to configuration: inout RunConfiguration) {
        configuration.take(option.name, from: option.meant[at])
    }

    /// Combinations of the values of all options; `most` + 1 for more than that.
    public var count: Int {
        options.reduce(1) { min($0 * min($1.values.count, Self.most + 1), Self.most + 1) }
    }
}
