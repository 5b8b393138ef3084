/// All tables, in the order of `reproduce all`.
public enum Tables {
    public static let all: [any Table.Type] = [
        MainTable.self, BoundsTable.self, AttacksTable.self, DistributionTable.self, SettingsTable.self, TriggersTable.self,
        StrengthTable.self,
        AblationTable.self, AdaptiveTable.self, FalseAlarmsTable.self, CostTable.self, PaperTable1.self, PaperTable2.self, PaperTable3.self,
        PaperAttackTable.self,
        PaperTuningTable.self,
    ]

    /// Names that stand for several tables.
    public static let groups = ["paper": all.filter { $0 is any PaperTable.Type && $0.name != PaperTuningTable.name }.map { $0.name }]

    public static var names: [String] { all.map { $0.name } }

    /// Sweeps are one, too: of a grid instead of a layout of ours.
    public static func make(_ name: String, _ scale: Scale) -> (any Table)? {
        (all + [SweepTable.self]).first { $0.name == name }?.init(scale)
    }
}
