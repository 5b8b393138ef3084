import Network
import Tensor

/// Norm clipping (Sun et al. 2019): D_i / max(1, ||D_i|| / M), then FedAvg. M = 3; no noise by default.
public struct NormClip: AggregationRule {
    public static let name = "norm-clip"
    public var limit = 3.0

    public init() {}

    public func aggregate(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let clipped = updates.map { clip($0.parameters, to: limit, around: global) }
        let model = weightedSum(global, clipped, imageWeights(updates))
        return Aggregate(model: model, teachers: clipped.map { Teacher($0) })
    }
}

/// G + D / max(1, ||D|| / limit) with D = W - G.
func clip(_ model: Parameters, to limit: Double, around global: Parameters) -> Parameters {
    let factor = 1 / max(1, squaredDistance(model, global).squareRoot() / limit)
    return weightedSum(global, [model], [factor])
}

/// ||a - b||^2 over all parameters, in double.
func squaredDistance(_ a: Parameters, _ b: Parameters) -> Double {
    var sum = 0.0
    for k in 0..<a.count {
        let d = Double(a.base[k]) - Double(b.base[k])
        sum += d * d
    }
    return sum
}
