import DefenseInterface
import Network
import Options
import Tensor

/// RFOut-1d, robust filtering of one-dimensional outliers (Rodriguez-Barroso, Martinez-Camara, Luzon and Herrera
/// 2022, "Backdoor Attacks-Resilient Aggregation based on Robust Filtering of Outliers in Federated Learning for
/// image classification", arXiv 2201.08135). Coordinate by coordinate, with mean m and deviation s (divided by n)
/// over the clients:
///
///     the mean of the values W_ij with |W_ij - m_j| <= delta s_j,    delta = 3
///
/// without weights. The authors' program puts m in the place of a value that lies outside, which leaves a part of it
/// in: m was made with it; here it is left out. Its own clipping and noise, off by default, are `norm-clip` and `dp`.
///
/// No value of n lies more than sqrt(n - 1) deviations from the mean. Up to n = 10, delta = 3 therefore leaves out
/// nothing: the rule is then the plain mean, and says so. A value at delta s is inside, whatever rounding makes of
/// it.
public struct RFOut: AggregationRule {
    public static let name = "rfout"
    /// Of delta^2 s^2. The mean is known to 2^-53 of its size, neighbouring parameters differ by 2^-24 of it: a
    /// distance from the mean is off by some 2^-29 of itself at the most.
    private static let rounding = 1e-6
    /// delta.
    public var deviations: Double

    public static let deviations = Setting(
        "rfout-deviations", default: 3.0, in: .positive, value: "delta",
        help: "Deviations from the mean up to which a value counts.")
    public static let settings: [any AnySetting] = [deviations]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) { deviations = settings[Self.deviations] }

    /// The updates and the mean.
    public func memoryNeeded(_ size: RoundSize) -> Int { (size.participants + 1) * size.modelBytes }

    public func combine(
        _ global: Parameters, _ updates: [ClientUpdate],
        _ context: inout RuleContext
    ) throws -> Aggregate {
        let n = updates.count, models = updates.map(\.parameters)
        return Aggregate(
            model: filteredMean(models, threads: context.threads), teachers: models.map { Teacher($0) },
            notes: notes(n))
    }

    private func notes(_ n: Int) -> [String] {
        guard deviations * deviations >= Double(n - 1) else { return [] }
        return [
            "\(Self.name): no value of n = \(n) lies more than sqrt(n - 1) deviations from the mean; "
                + "delta = \(deviations) left out nothing"
        ]
    }

    private func filteredMean(_ models: [Parameters], threads: Int) -> Parameters {
        let result = Parameters(models[0].network), bases = models.map(\.base), n = Double(models.count)
        let factor = deviations * deviations * (1 + Self.rounding) / n
        forEachBlock(result.count, threads: threads) { first, width, _ in
            withUnsafeTemporaryAllocation(of: Double.self, capacity: 4 * width) { buffer in
                guard let mean = buffer.baseAddress else { return }
                buffer.initialize(repeating: 0)
                let limit = mean + width, sum = limit + width, kept = sum + width
                for w in bases { for k in 0..<width { mean[k] += Double(w[first + k]) } }
                for k in 0..<width { mean[k] /= n }
                for w in bases { for k in 0..<width { limit[k] += squared(Double(w[first + k]) - mean[k]) } }
                for k in 0..<width { limit[k] *= factor }
                for w in bases {
                    for k in 0..<width {
                        let x = Double(w[first + k]), inside = squared(x - mean[k]) <= limit[k]
                        sum[k] += inside ? x : 0
                        kept[k] += inside ? 1 : 0
                    }
                }
                for k in 0..<width {  // delta < 1 may leave none
                    result.base[first + k] = Float(kept[k] > 0 ? sum[k] / kept[k] : mean[k])
                }
            }
        }
        return result
    }
}

@inline(__always)
private func squared(_ x: Double) -> Double { x * x }
