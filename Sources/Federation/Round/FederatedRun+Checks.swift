import Datasets
import DefenseInterface
import Defenses
import Network
import Options
import Rules

/// The defences that a configuration asks for, and what shows before anything is trained.
extension FederatedRun {
    /// The defences asked for: at most one aggregation rule and any number of defences on the model; `vouching` is
    /// neither.
    public static func defenses(_ configuration: RunConfiguration) throws -> (any AggregationRule, [any ModelDefense]) {
        let names = configuration.defenses, values = configuration.values
        let option = RunConfiguration.declarations.defenses.name
        var rules: [any AggregationRule] = [], models: [any ModelDefense] = []
        for name in names {
            if let rule = AggregationRules.make(name, values) {
                if name != FedAvg.name { rules.append(rule) }
            } else if let defense = ModelDefenses.make(name, values) {
                models.append(defense)
            } else if !AllDefenses.withoutModel.contains(name) {
                throw SettingError(
                    option, given: name, expected: AllDefenses.former[name].map { "\($0), which took its place" } ?? AllDefenses.expected)
            }
        }
        guard rules.count <= 1 else {
            throw SettingError(option, given: names.joined(separator: " "), expected: "at most one rule before aggregation")
        }
        return (rules.first ?? FedAvg(), models)
    }

    /// What options alone show, before there are data.
    ///
    /// - Throws: `SettingError`, `DefenseError.tooFewClients`.
    public static func check(_ configuration: RunConfiguration) throws {
        try configuration.validate()
        let rule = try defenses(configuration).0, participants = configuration.participants
        try checkPrototypes(configuration, rule)
        guard configuration.presentHeads.count == 1 || type(of: rule).scope == .trunk else { return }
        try rule.checkClients(participants, malicious: configuration.assumedMalicious(participants))
    }

    /// What options and data show together, before anything is trained, without the work of dividing the data.
    ///
    /// - Throws: what `RunData` throws, `SettingError`, `RunError.incompatible` where a round does not fit into memory.
    public static func check(_ configuration: RunConfiguration, _ dataset: Dataset, _ generated: UnnamedSplit?) throws {
        try configuration.validate()
        let rule = try defenses(configuration).0
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

    /// Of the run's defences, those that work in every round.
    static func roundDefenses(_ configuration: RunConfiguration) throws -> [any RoundDefense] {
        try defenses(configuration).1.compactMap { $0 as? any RoundDefense }
    }
}
