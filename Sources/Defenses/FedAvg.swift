import Network

/// No defence: G + sum w_i (W_i - G) with weights by images (McMahan et al. 2017).
public struct FedAvg: AggregationRule {
    public static let name = "none"

    public init() {}

    public func aggregate(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let weights = imageWeights(updates)
        return Aggregate(model: weightedSum(global, updates.map(\.parameters), weights), teachers: updates.map { Teacher($0.parameters) })
    }
}

/// Weights by number of images, summing to 1.
func imageWeights(_ updates: [ClientUpdate]) -> [Double] {
    let total = Double(updates.reduce(0) { $0 + $1.images })
    return updates.map { Double($0.images) / total }
}

/// G + sum w_i (W_i - G), summed in double in the order given.
func weightedSum(_ global: Parameters, _ models: [Parameters], _ weights: [Double]) -> Parameters {
    let result = Parameters(global.network)
    for k in 0..<global.count {
        let g = Double(global.base[k])
        var sum = g
        for (model, weight) in zip(models, weights) { sum += weight * (Double(model.base[k]) - g) }
        result.base[k] = Float(sum)
    }
    return result
}
