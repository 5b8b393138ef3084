import Datasets
import Network
import Tensor

/// Looks for poisoned FM images. A backdoored network puts images into the target class by two mechanisms, and inside
/// the network the two groups stand apart. For each predicted class, and for several groups of layers, the images'
/// channel maxima are standardised, projected on ten principal components and split in two (2-means). A half looks
/// poisoned when, in at least three layers, some channel fires in it (median) as hardly any image of any other class
/// does (0.99 quantile): images of one natural kind exceed the rest of the world in their last layers at most.
struct Screen {
    /// For each class the score of its worse half: the third largest, over the layers, of the ratio above; nil for
    /// classes with too few images.
    private(set) var scores: [Double?] = []
    /// Classes that look attacked.
    private(set) var flagged: [Int] = []
    /// Positions in the FM data of the images taken for poisoned, with the class they speak for.
    private(set) var suspects: [(image: Int, target: Int)] = []

    static let components = 10, leastImages = 20, leastHalf = 8
    /// Score from which a half is taken for poisoned.
    static let threshold = 1.15
    /// Groups of layers that are split by themselves: a trigger may stand out in some only.
    static let groups: [[Layer]] = [Layer.allCases, [.conv1, .conv2], [.conv3, .conv4], [.conv5], [.conv6], [.fc1]]

    init(_ activations: Activations, seed: UInt64) {
        var members = [[Int]](repeating: [], count: activations.classes)
        for (image, label) in activations.predictions.enumerated() { members[label].append(image) }
        for (label, images) in members.enumerated() {
            guard images.count >= Self.leastImages else { scores.append(nil); continue }
            let others = activations.predictions.indices.filter { activations.predictions[$0] != label }
            let ceiling = activations.quantiles(0.99, of: others)
            var stream = RandomStream(seed: seed, purpose: "screen", client: label)
            var worst: (score: Double, half: [Int]) = (0, [])
            for group in Self.groups {
                for half in split(activations, images, group.flatMap { Array($0.bounds) }, &stream) where half.count >= Self.leastHalf {
                    let score = Self.score(half, activations, ceiling)
                    if score > worst.score { worst = (score, half) }
                }
            }
            scores.append(worst.score)
            guard worst.score > Self.threshold else { continue }
            flagged.append(label)
            suspects += worst.half.map { ($0, label) }
        }
        suspects.sort { $0.image < $1.image }
    }

    /// The third largest, over the layers, of a layer's largest ratio of a channel's median in the half to its ceiling.
    private static func score(_ half: [Int], _ activations: Activations, _ ceiling: [Float]) -> Double {
        let medians = activations.quantiles(0.5, of: half)
        let layers = Layer.allCases.map { layer -> Double in
            let floor = 0.05 * max(1e-6, layer.bounds.reduce(Float(0)) { max($0, ceiling[$1]) })   // channels that never fire
            return layer.bounds.map { Double(medians[$0] / max(ceiling[$0], floor)) }.max() ?? 0
        }
        return layers.sorted(by: >)[2]
    }
}

/// `images` split in two by 2-means on the principal components of these channels' standardised maxima.
private func split(_ activations: Activations, _ images: [Int], _ channels: [Int], _ stream: inout RandomStream) -> [[Int]] {
    let n = images.count
    var x = images.map { image in channels.map { Double(activations.maximum(image, $0)) } }
    for u in channels.indices {                                     // channels that never vary stay 0
        let mean = x.reduce(0) { $0 + $1[u] } / Double(n)
        let deviation = (x.reduce(0) { $0 + ($1[u] - mean) * ($1[u] - mean) } / Double(n)).squareRoot()
        for i in 0..<n { x[i][u] = deviation > 1e-9 ? (x[i][u] - mean) / deviation : 0 }
    }
    let assignment = twoMeans(principalComponents(x, count: Screen.components, using: &stream))
    return [false, true].map { side in images.indices.filter { assignment[$0] == side }.map { images[$0] } }
}
