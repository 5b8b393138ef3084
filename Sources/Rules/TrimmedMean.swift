import DefenseInterface
import Network

/// Coordinate-wise trimmed mean (Yin et al. 2018): of each coordinate the floor(beta n) smallest and as many largest values
/// are left out, the others averaged without weights. beta = 0.2.
public struct TrimmedMean: AggregationRule {
    public static let name = "trimmed-mean"
    /// beta, a fraction of the clients, from 0 to below 0.5.
    public var trimmed = 0.2

    public init() {}

    /// Values of n that are left out at each end.
    private func cut(_ n: Int) -> Int { Int(trimmed * Double(n) + 1e-9) }  // 0.29 * 100 is 28.999999999999996

    public func unmet(clients n: Int, malicious f: Int) -> String? {
        cut(n) >= 0 && 2 * cut(n) < n ? nil : "2 floor(beta n) < n with beta = \(trimmed)"
    }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let n = updates.count, cut = cut(n)
        let model = fromSortedCoordinates(updates.map(\.parameters), like: global, context.kernels, threads: context.threads) { rows, out in
            forEachEightColumns(out) { k in
                var sum = SIMD8<Double>.zero
                for rank in cut..<n - cut { sum += rows.eight(rank, k) }
                return sum / Double(n - 2 * cut)
            }
        }
        return Aggregate(model: model, teachers: updates.map { Teacher($0.parameters) })
    }
}
