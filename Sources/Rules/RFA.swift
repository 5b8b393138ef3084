import Network
import Tensor

/// RFA (Pillutla, Kakade, Harchaoui 2019, "Robust Aggregation for Federated Learning"): the geometric median by the smoothed
/// Weiszfeld algorithm. v starts at the mean of the models weighted by images; then, four times,
///
///     b_i = w_i / max(nu, ||v - W_i||),    v = sum b_i W_i / sum b_i
///
/// with nu = 1e-6. v is held in double. The last b_i weight the teachers.
public struct GeometricMedian: AggregationRule {
    public static let name = "rfa"
    public var iterations = 4
    /// nu.
    public var smoothing = 1e-6

    public init() {}

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let models = updates.map(\.parameters), shares = imageWeights(updates.map(\.images)), count = global.count,
            threads = context.threads
        var weights = shares
        var v = [Double](repeating: 0, count: count), distances = [Double](repeating: 0, count: models.count)
        v.withUnsafeMutableBufferPointer { buffer in
            guard let v = buffer.baseAddress else { return }
            mean(models, weights, into: v, threads: threads)
            for _ in 0..<iterations {
                distances.withUnsafeMutableBufferPointer { distances in
                    guard let distances = distances.baseAddress else { return }
                    parallel(models.count, threads: threads) { i, _ in distances[i] = distance(v, models[i]) }
                }
                weights = zip(shares, distances).map { $0 / max(smoothing, $1) }
                mean(models, weights, into: v, threads: threads)
            }
        }
        let model = Parameters(global.network)
        for k in 0..<count { model.base[k] = Float(v[k]) }
        let total = weights.reduce(0, +)
        return Aggregate(model: model, teachers: zip(models, weights).map { Teacher($0, weight: $1 / total) })
    }

    /// sum b_i W_i / sum b_i.
    private func mean(_ models: [Parameters], _ weights: [Double], into v: UnsafeMutablePointer<Double>, threads: Int) {
        let total = weights.reduce(0, +), bases = models.map(\.base)
        forEachBlock(models[0].count, threads: threads) { first, width, _ in
            for k in first..<first + width { v[k] = 0 }
            for (base, weight) in zip(bases, weights) {
                let share = weight / total
                for k in first..<first + width { v[k] += share * Double(base[k]) }
            }
        }
    }

    /// ||v - W||.
    private func distance(_ v: UnsafePointer<Double>, _ model: Parameters) -> Double {
        let w = model.base
        var sum = 0.0
        for first in stride(from: 0, to: model.count, by: 8) {  // counts are multiples of 32
            var part = SIMD8<Double>.zero
            for lane in 0..<8 {
                let d = v[first + lane] - Double(w[first + lane])
                part[lane] = d * d
            }
            sum += part.sum()
        }
        return sum.squareRoot()
    }
}
