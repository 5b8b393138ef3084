import Network

/// No defence: G + sum w_i (W_i - G) with weights by images (McMahan et al. 2017).
public struct FedAvg: AggregationRule {
    public static let name = "none"

    public init(_ options: RuleOptions = RuleOptions()) {}

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        Aggregate(model: weightedSum(global, updates.map(\.parameters), imageWeights(updates), threads: context.threads),
                  teachers: updates.map { Teacher($0.parameters) })
    }
}
