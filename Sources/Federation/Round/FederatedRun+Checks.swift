import Datasets
import Defenses
import Network
import Options
import Rules

/// What shows before anything is trained.
extension FederatedRun {
    /// What options alone show, before there are data.
    ///
    /// - Throws: `SettingError`, `DefenseError.tooFewClients`.
    public static func check(_ configuration: RunConfiguration) throws {
        try configuration.validate()
        let rule = try configuration.makeDefenses().0, participants = configuration.participants
        try checkPrototypes(configuration, rule)
        guard configuration.presentHeads.count == 1 || type(of: rule).scope == .trunk else { return }
        try rule.checkClients(participants, malicious: configuration.assumedMalicious(participants))
    }

    /// What options and data show together, before anything is trained, without the work of dividing the data.
    ///
    /// - Throws: what `RunData` throws, `SettingError`, `RunError.incompatible` where a round does not fit into memory.
    public static func check(_ configuration: RunConfiguration, _ dataset: Dataset, _ generated: UnnamedSplit?) throws {
        try configuration.validate()
        let rule = try configuration.makeDefenses().0
        try checkPrototypes(configuration, rule)
        try MemoryPlan.require(rule, configuration, try RunData.check(configuration, dataset, generated))
    }

    /// Throws `SettingError` for a rule that cannot work on clients of several shapes.
    static func checkPrototypes(_ configuration: RunConfiguration, _ rule: any AggregationRule) throws {
        let heads = configuration.presentHeads
        guard heads.count > 1, type(of: rule).scope == .oneShape else { return }
        let others = AggregationRules.all.filter { $0.scope != .oneShape }.map { $0.name }
        throw SettingError(
            RunConfiguration.declarations.defenses.name, given: type(of: rule).name,
            expected:
                "a rule that works on clients of \(heads.count) shapes (heads \(heads.map(\.description).joined(separator: ", "))): \(others.joined(separator: ", "))"
        )
    }
}
