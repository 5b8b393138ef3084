import DefenseInterface
import Network
import Numerics

/// Channel Lipschitzness based pruning: a channel whose kernel amplifies far more than those beside it is taken for the
/// trigger's and loses its weights and bias. Data-free.
///
/// sigma_c = largest singular value of the channel's kernel as a matrix (inputs, 9); pruned where
///     sigma_c > mean + u std   of its layer's channels (std unbiased), u = 3.
/// The network has no norm layers, whose gain would be a factor. Only convolutions are pruned.
///
/// Source: Zheng, Tang, Li and Liu, ECCV 2022, arXiv 2208.03111, equations 9 and 10.
public struct LipschitzPruning: ModelDefense {
    public static let name = "clp"
    public static let leastImages = 0
    /// u: standard deviations above the mean.
    public var deviations = 3.0

    public init() {}

    public func plannedPasses(_ images: Int) -> Double { 0 }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let channels = HiddenChannels(network: model.network)
        var prune = Set<Int>(), audit: [Finding] = []
        for layer in Layer.convolutions {
            let bounds = Self.lipschitz(model, layer), limit = threshold(bounds)
            prune.formUnion(bounds.indices.filter { bounds[$0] > limit }.map { model.network.boundOffset(layer) + $0 })
            audit.append(Finding("\(layer.name): largest singular value, threshold", "\(fixed(bounds.max() ?? 0, 3)) \(fixed(limit, 3))"))
        }
        audit.insert(Finding("channels pruned", channels.summary(prune)), at: 0)
        return DefenseOutcome(parameters: channels.pruned(model, prune), bounds: Bounds(model.network), passes: 0, audit: audit)
    }

    /// mean + u std, with n - 1 under the sum of squares.
    private func threshold(_ values: [Double]) -> Double {
        let n = Double(values.count), mean = values.reduce(0, +) / n
        let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (n - 1)
        return mean + deviations * variance.squareRoot()
    }

    /// Every channel's largest singular value: the root of the largest eigenvalue of the 9 x 9 product of its taps.
    static func lipschitz(_ model: Parameters, _ layer: Layer) -> [Double] {
        let tensor = model.network.weight(layer), inputs = tensor.shape[1]
        let values = model.canonical(tensor)
        return (0..<model.network.units(layer)).map { channel in
            var gram = [Double](repeating: 0, count: 81)
            for input in 0..<inputs {
                let kernel = (channel * inputs + input) * 9
                for i in 0..<9 {
                    for j in 0..<9 { gram[i * 9 + j] += Double(values[kernel + i]) * Double(values[kernel + j]) }
                }
            }
            return max(0, largestEigenvalue(&gram, 9)).squareRoot()
        }
    }

    /// Largest eigenvalue of the symmetric n x n matrix `a`, which is overwritten: cyclic Jacobi rotations until what is
    /// off the diagonal is below 1e-15 of the norm; fewer than 12 sweeps for n = 9, never more than 50.
    static func largestEigenvalue(_ a: inout [Double], _ n: Int) -> Double {
        let norm = a.reduce(0) { $0 + $1 * $1 }
        for _ in 0..<50 {
            var off = 0.0
            for i in 0..<n { for j in 0..<i { off += 2 * a[i * n + j] * a[i * n + j] } }
            guard off > 1e-30 * norm else { break }
            for p in 0..<n - 1 { for q in p + 1..<n { rotate(&a, n, p, q) } }
        }
        return (0..<n).map { a[$0 * n + $0] }.max() ?? 0
    }

    /// The rotation in the plane (p, q) that makes a(p, q) zero (Golub and Van Loan, section 8.5.2).
    private static func rotate(_ a: inout [Double], _ n: Int, _ p: Int, _ q: Int) {
        guard a[p * n + q] != 0 else { return }
        let tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q])
        let t = (tau >= 0 ? 1 : -1) / (abs(tau) + (1 + tau * tau).squareRoot())
        let c = 1 / (1 + t * t).squareRoot(), s = t * c
        for k in 0..<n {
            let x = a[k * n + p], y = a[k * n + q]
            (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y)
        }
        for k in 0..<n {
            let x = a[p * n + k], y = a[q * n + k]
            (a[p * n + k], a[q * n + k]) = (c * x - s * y, s * x + c * y)
        }
    }
}
