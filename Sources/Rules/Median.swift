import Network
import Numerics

/// Coordinate-wise median (Yin et al. 2018, "Byzantine-Robust Distributed Learning"), unweighted; of an even number of
/// clients the mean of the two middle values.
public struct CoordinateMedian: AggregationRule {
    public static let name = "median"

    public init() {}

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let n = updates.count, low = (n - 1) / 2, high = n / 2
        let model = fromSortedCoordinates(updates.map(\.parameters), like: global, context.kernels, threads: context.threads) { rows, out in
            forEachEightColumns(out) { (rows.eight(low, $0) + rows.eight(high, $0)) / 2 }
        }
        return Aggregate(model: model, teachers: updates.map { Teacher($0.parameters) })
    }
}
