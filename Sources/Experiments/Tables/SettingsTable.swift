import Federation

/// Few clients that all take part in every round, or ten times as many of which a tenth does.
public struct SettingsTable: Table {
    public static let name = "settings"
    private let crossed: CrossedRows
    public let columns = [Attack.classic, .fm].map(\.column)

    public init(_ scale: Scale) {
        let n = scale.base.clients
        crossed = CrossedRows(
            [
                ConfigurationChange("cross-silo (\(n) of \(n))") { _ in },
                ConfigurationChange("cross-device (\(n) of \(10 * n))") { c in
                    (c.clients, c.malicious, c.participation) = (10 * c.clients, 10 * c.malicious, c.participation / 10)
                },
            ], Self.compared(scale))
    }

    public var caption: String { "all clients in every round, and a tenth of ten times as many" }
    public var claim: String { "" }
    public var rowTitle: String { "setting, defence" }
    public var rows: [String] { crossed.names }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        crossed.cell(row, Attack(column: column), base)
    }
}
