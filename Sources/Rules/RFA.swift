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
                    parallel((models.count + 3) / 4, threads: threads) { group, _ in
                        self.distances(v, models, 4 * group, into: distances)
                    }
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
        let total = weights.reduce(0, +), bases = models.map(\.base), shares = weights.map { $0 / total }
        forEachBlock(models[0].count, threads: threads) { first, width, _ in
            for k in first..<first + width { v[k] = 0 }
            forEachFour(bases, shares) { w, shares in
                for k in first..<first + width {
                    var x = v[k]
                    x += shares.0 * Double(w.0[k])
                    x += shares.1 * Double(w.1[k])
                    x += shares.2 * Double(w.2[k])
                    x += shares.3 * Double(w.3[k])
                    v[k] = x
                }
            } rest: { w, share in
                for k in first..<first + width { v[k] += share * Double(w[k]) }
            }
        }
    }

    /// ||v - W_i|| of up to four models from `first` on: side by side, as each sum waits for itself.
    private func distances(_ v: UnsafePointer<Double>, _ models: [Parameters], _ first: Int, into result: UnsafeMutablePointer<Double>) {
        let last = models.count - 1, count = models[first].count
        let w = (
            models[first].base, models[min(first + 1, last)].base, models[min(first + 2, last)].base, models[min(first + 3, last)].base
        )
        var sums = SIMD4<Double>.zero
        for k in stride(from: 0, to: count, by: 8) {  // counts are multiples of 32
            let at = UnsafeRawPointer(v + k).loadUnaligned(as: SIMD8<Double>.self)
            sums += SIMD4(squares(at, w.0 + k), squares(at, w.1 + k), squares(at, w.2 + k), squares(at, w.3 + k))
        }
        for i in first...min(first + 3, last) { result[i] = sums[i - first].squareRoot() }
    }

    /// The sum of eight (v_k - w_k)^2.
    @inline(__always)
    private func squares(_ v: SIMD8<Double>, _ w: UnsafePointer<Float>) -> Double {
        let d = v - eight(w)
        return (d * d).sum()
    }
}
