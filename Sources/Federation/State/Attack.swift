import Options

/// Who attacks: nobody, malicious clients (classic), whoever poisons the FM data (fm), or both with one trigger.
public enum Attack: String, SettingValue, CaseIterable, Sendable {
    case none, classic, fm, both
    public var poisonsClients: Bool { self == .classic || self == .both }
    public var poisonsSynthetic: Bool { self == .fm || self == .both }
}
