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
            return max(0, eigenvectors(gram, 9)[0].value).squareRoot()
        }
    }
}
