import DefenseInterface
import Defenses
import Options
import Rules

/// The defences that a configuration asks for.
extension RunConfiguration {
    /// The defences asked for: at most one aggregation rule and any number of defences on the model; `vouching` is
    /// neither.
    public func makeDefenses() throws -> (any AggregationRule, [any ModelDefense]) {
        let names = self.defenses
        let option = Self.declarations.defenses.name
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

    /// Of the run's defences, those that work in every round.
    func makeRoundDefenses() throws -> [any RoundDefense] {
        try makeDefenses().1.compactMap { $0 as? any RoundDefense }
    }
}
