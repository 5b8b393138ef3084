import FoundationEssentials

/// All settings of a kind of run, in order, and what is done with all of them: search by name, JSON.
public struct SettingList: Sendable {
    public let all: [any AnySetting]
    private let positions: [String: Int]
    private let retired: [String: SettingScalar]

    /// Names, former names included, are expected to differ; a test sees to it.
    /// - Parameter retired: names of options that are gone, with the value that says what is always so now.
    public init(_ all: [any AnySetting], retired: [String: SettingScalar] = [:]) {
        (self.all, self.retired) = (all, retired)
        let names = all.enumerated().flatMap { at, setting in ([setting.name] + setting.formerNames).map { ($0, at) } }
        positions = Dictionary(names) { first, _ in first }
    }

    public var names: [String] { all.map(\.name) }

    /// The setting of that name. Throws `SettingError` with the nearest name for others.
    public func named(_ name: String) throws -> any AnySetting {
        guard let setting = namedInFile(name), setting.name == name else {
            throw SettingError.unknown(name, among: names)
        }
        return setting
    }

    /// The setting of that name, present or former.
    private func namedInFile(_ name: String) -> (any AnySetting)? { positions[name].map { all[$0] } }

    /// One line, keys sorted, each setting that `isWritten` lets through. Throws for a number that is not finite.
    public func json(_ settings: Settings, where isWritten: (any AnySetting) -> Bool = { _ in true }) throws -> String {
        let members = all.filter(isWritten).map { ($0.name, $0.scalar(in: settings)) }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(Dictionary(members) { first, _ in first }), as: UTF8.self)
    }

    /// Reads what `json` or an older version wrote; what is missing has its default. Throws `SettingError` for unknown
    /// keys and values that are not allowed, `DecodingError` for what is no JSON object.
    public func settings(json: String) throws -> Settings {
        let members = try JSONDecoder().decode([String: SettingScalar].self, from: Data(json.utf8))
        var settings = Settings(), seen: Set<String> = []
        for (key, scalar) in members.sorted(by: { $0.key < $1.key }) {
            if let only = retired[key] {
                guard scalar == only else {
                    throw SettingError(key, given: scalar.shown, expected: "\(only.shown): this version has no other")
                }
                continue
            }
            guard let setting = namedInFile(key) else { throw SettingError.unknown(key, among: names) }
            guard seen.insert(setting.name).inserted else {
                throw SettingError(setting.name, given: "\(key) too, a former name", expected: "one of its names")
            }
            try setting.set(scalar, in: &settings)
        }
        return settings
    }
}
