import Datasets
import Network
import Tensor

/// Looks for poisoned FM images. In the class that a backdoor leads to, two kinds of images meet: natural ones, and
/// images of all classes with a trigger. The maxima of the last three convolutions' channels show them as two groups
/// once the spread that every class has anyway is divided out. For each predicted class these (whitened by the mean
/// within-class covariance) are projected on ten principal components and split in two (2-means, then a linear
/// discriminant). The share of the variance that 2-means explains, divided by the median of that share over the
/// classes, is the class's score. The half in which some channel of conv6 stands out most is the suspect one.
///
/// Source: Tang et al., "Demon in the Variant" (SCAn), arXiv 1908.00686, for the common covariance.
struct Screen {
    /// For each class its score; nil for classes with too few images.
    private(set) var scores: [Double?] = []
    /// For each class the positions of its suspect half.
    private(set) var halves: [[Int]] = []

    static let components = 10, leastImages = 20, leastHalf = 8
    static let channels = Layer.conv4.bounds.lowerBound..<Layer.conv6.bounds.upperBound

    init(_ activations: Activations, seed: UInt64, threads: Int) {
        var members = [[Int]](repeating: [], count: activations.classes)
        for (image, label) in activations.predictions.enumerated() { members[label].append(image) }
        var points = (0..<activations.count).map { image in Self.channels.map { Double(activations.maximum(image, $0)) } }
        whiten(&points, groups: members, threads: threads)
        let found = parallelMap(members.count, threads: threads) { [points] label, _ -> (share: Double?, half: [Int]) in
            let images = members[label]
            guard images.count >= Self.leastImages else { return (nil, []) }
            var stream = RandomStream(seed: seed, purpose: "screen", client: label)
            let centred = centred(images.map { points[$0] })
            let projected = principalComponents(centred, count: Self.components, using: &stream)
            let assignment = twoMeans(projected)
            return (explained(projected, assignment), Self.suspectHalf(images, discriminated(centred, assignment), activations))
        }
        let shares = found.map(\.share)
        halves = found.map(\.half)
        let median = Double(quantile(0.5, shares.compactMap { $0.map(Float.init) }))
        scores = shares.map { share in share.map { median > 0 ? $0 / median : 1 } }
    }

    private static func suspectHalf(_ images: [Int], _ assignment: [Bool], _ activations: Activations) -> [Int] {
        let chosen = Set(images), others = (0..<activations.count).filter { !chosen.contains($0) }
        let ceiling = Layer.conv6.bounds.map { channel in quantile(0.99, others.map { activations.maximum($0, channel) }) }
        let floor = 0.05 * max(1e-6, ceiling.max() ?? 0)                                        // channels that never fire
        let halves = [false, true].map { side in images.indices.filter { assignment[$0] == side }.map { images[$0] } }
        let excess = halves.map { half -> Float in
            zip(Layer.conv6.bounds, ceiling).map { channel, ceiling in
                quantile(0.5, half.map { activations.maximum($0, channel) }) / max(ceiling, floor)
            }.max() ?? 0
        }
        let suspect = halves[excess[0] > excess[1] ? 0 : 1]
        return suspect.count < leastHalf ? [] : suspect
    }
}

private func centred(_ x: [[Double]]) -> [[Double]] {
    let d = x[0].count
    var mean = [Double](repeating: 0, count: d)
    for row in x { for k in 0..<d { mean[k] += row[k] / Double(x.count) } }
    return x.map { row in (0..<d).map { row[$0] - mean[$0] } }
}

/// A split in two improved by the linear discriminant along the difference of the means (the rows being whitened), with
/// the threshold where two normal distributions of these sizes and a common variance are equally likely.
func discriminated(_ x: [[Double]], _ split: [Bool]) -> [Bool] {
    var split = split
    for _ in 0..<5 {
        let sides = [false, true].map { side in x.indices.filter { split[$0] == side } }
        guard sides.allSatisfy({ $0.count >= 8 }) else { break }
        let means = sides.map { side in (0..<x[0].count).map { k in side.reduce(0) { $0 + x[$1][k] } / Double(side.count) } }
        let direction = zip(means[1], means[0]).map { $0 - $1 }
        let scores = x.map { dot($0, direction) }
        let middles = sides.map { side in side.reduce(0) { $0 + scores[$1] } / Double(side.count) }
        let variance = [0, 1].reduce(0) { sum, side in sum + sides[side].reduce(0) { $0 + (scores[$1] - middles[side]) * (scores[$1] - middles[side]) } } / Double(x.count)
        let odds = Double(sides[1].count) / Double(sides[0].count)
        let threshold = (middles[0] + middles[1]) / 2 - variance / (middles[1] - middles[0]) * Mathematics.log(odds)
        let next = scores.map { $0 > threshold }
        if next == split { break }
        split = next
    }
    return split
}
