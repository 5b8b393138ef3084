/// Values of settings by name; a setting without one has its default.
public struct Settings: Equatable, Sendable {
    /// Values other than the default.
    var values: [String: any SettingValue] = [:]

    public init() {}

    public static func == (a: Settings, b: Settings) -> Bool {
        a.values.count == b.values.count
            && a.values.allSatisfy { name, value in b.values[name].map(value.isEqual) ?? false }
    }
}
