/// Values of settings by name; a setting without one has its default.
public struct Settings: Equatable, Sendable {
    /// Values other than the default.
    private var values: [String: any SettingValue] = [:]

    public init() {}

    public subscript<Value>(setting: Setting<Value>) -> Value {
        get { values[setting.name] as? Value ?? setting.standard }
        set { values[setting.name] = newValue == setting.standard ? nil : newValue }
    }

    public static func == (a: Settings, b: Settings) -> Bool {
        a.values.count == b.values.count
            && a.values.allSatisfy { name, value in b.values[name].map(value.isEqual) ?? false }
    }
}
