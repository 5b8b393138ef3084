import Datasets
import Network
import Tensor

/// Looks for poisoned FM images. A backdoored network puts images into the target class by two mechanisms, and inside
/// the hidden layer the two groups stand apart: for each predicted class the activations of fc1 are standardised,
/// projected on their ten principal components and split in two (2-means); a class whose split explains far more of the
/// variance than other classes' splits looks attacked. Its bad half is the one with units that fire as no image of any
/// other class does.
struct Screen {
    /// Share of variance explained by the split, for each class; nil for classes with too few images.
    private(set) var shares: [Double?] = []
    /// Classes that look attacked.
    private(set) var flagged: [Int] = []
    /// Positions in the FM data of the images taken for poisoned, with the class they speak for.
    private(set) var suspects: [(image: Int, target: Int)] = []

    static let components = 10, leastImages = 20
    /// Robust deviations (1.4826 MAD) above the median share at which a class is flagged, and the least share.
    static let deviations = 5.0, leastShare = 0.28

    init(_ activations: Activations, seed: UInt64) {
        var members = [[Int]](repeating: [], count: activations.classes)
        for (image, label) in activations.predictions.enumerated() { members[label].append(image) }
        let splits = members.enumerated().map { label, images in
            images.count < Self.leastImages ? nil : Split(activations, images, seed: seed, label: label)
        }
        shares = splits.map { $0?.share }
        let known = shares.compactMap { $0 }
        guard known.count >= 3 else { return }
        let middle = median(known), spread = 1.4826 * median(known.map { abs($0 - middle) })
        for (label, split) in splits.enumerated() {
            guard let split, split.share > max(Self.leastShare, middle + Self.deviations * max(spread, 0.01)) else { continue }
            flagged.append(label)
            let others = activations.predictions.indices.filter { activations.predictions[$0] != label }
            let ceiling = Layer.fc1.bounds.map { unit in quantile(0.99, others.map { activations.maximum($0, unit) }) }
            let bad = split.halves.max { Self.excess($0, activations, ceiling) < Self.excess($1, activations, ceiling) }
            suspects += (bad ?? []).map { ($0, label) }
        }
        suspects.sort { $0.image < $1.image }
    }

    /// How far a half's medians exceed what other classes' images reach: the largest ratio over the hidden units.
    private static func excess(_ half: [Int], _ activations: Activations, _ ceiling: [Float]) -> Float {
        zip(Layer.fc1.bounds, ceiling).map { unit, top in
            quantile(0.5, half.map { activations.maximum($0, unit) }) / max(top, 1e-6)
        }.max() ?? 0
    }
}

/// The images of one predicted class, split in two by 2-means on their principal components.
private struct Split {
    let share: Double
    let halves: [[Int]]

    init(_ activations: Activations, _ images: [Int], seed: UInt64, label: Int) {
        let units = Array(Layer.fc1.bounds), n = images.count
        var x = images.map { image in units.map { Double(activations.maximum(image, $0)) } }
        for u in units.indices {                                    // standardise; units that never vary stay 0
            let mean = x.reduce(0) { $0 + $1[u] } / Double(n)
            let deviation = (x.reduce(0) { $0 + ($1[u] - mean) * ($1[u] - mean) } / Double(n)).squareRoot()
            for i in 0..<n { x[i][u] = deviation > 1e-9 ? (x[i][u] - mean) / deviation : 0 }
        }
        var stream = RandomStream(seed: seed, purpose: "screen", client: label)
        let projected = principalComponents(x, count: Screen.components, using: &stream)
        let assignment = twoMeans(projected)
        share = explained(projected, assignment)
        halves = [false, true].map { side in images.indices.filter { assignment[$0] == side }.map { images[$0] } }
    }
}

/// Rows projected on the leading `count` eigenvectors of their covariance (orthogonal iteration, 30 rounds). Rows must
/// have mean zero.
func principalComponents(_ x: [[Double]], count: Int, using stream: inout RandomStream) -> [[Double]] {
    let d = x.first?.count ?? 0
    var covariance = [[Double]](repeating: [Double](repeating: 0, count: d), count: d)
    for row in x {
        for a in 0..<d where row[a] != 0 {
            for b in 0..<d { covariance[a][b] += row[a] * row[b] }
        }
    }
    var basis = (0..<min(count, d)).map { _ in (0..<d).map { _ in stream.normal() } }
    for _ in 0..<30 {
        basis = basis.map { v in covariance.map { row in dot(row, v) } }
        for i in basis.indices {
            for j in 0..<i {
                let overlap = dot(basis[i], basis[j])
                for k in 0..<d { basis[i][k] -= overlap * basis[j][k] }
            }
            let norm = max(dot(basis[i], basis[i]).squareRoot(), 1e-30)
            for k in 0..<d { basis[i][k] /= norm }
        }
    }
    return x.map { row in basis.map { dot(row, $0) } }
}

func dot(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for i in a.indices { sum += a[i] * b[i] }
    return sum
}

/// 2-means, started from the two sides of each component in turn; the best of them.
func twoMeans(_ x: [[Double]]) -> [Bool] {
    var best: (share: Double, assignment: [Bool]) = (-1, x.map { _ in false })
    for start in 0..<(x.first?.count ?? 0) {
        var assignment = x.map { $0[start] > 0 }
        for _ in 0..<50 {
            let centres = [false, true].map { side in mean(x.indices.filter { assignment[$0] == side }.map { x[$0] }, like: x) }
            let next = x.map { squared($0, centres[1]) < squared($0, centres[0]) }
            if next == assignment { break }
            assignment = next
        }
        let share = explained(x, assignment)
        if share > best.share { best = (share, assignment) }
    }
    return best.assignment
}

/// Share of the variance that a split into two explains.
func explained(_ x: [[Double]], _ assignment: [Bool]) -> Double {
    let all = mean(x, like: x), total = x.reduce(0) { $0 + squared($1, all) }
    guard total > 0 else { return 0 }
    let within = [false, true].reduce(0.0) { sum, side in
        let part = x.indices.filter { assignment[$0] == side }.map { x[$0] }, centre = mean(part, like: x)
        return sum + part.reduce(0) { $0 + squared($1, centre) }
    }
    return 1 - within / total
}

private func mean(_ rows: [[Double]], like x: [[Double]]) -> [Double] {
    var sum = [Double](repeating: 0, count: x.first?.count ?? 0)
    for row in rows { for k in sum.indices { sum[k] += row[k] } }
    return sum.map { $0 / Double(max(1, rows.count)) }
}

private func squared(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for i in a.indices { sum += (a[i] - b[i]) * (a[i] - b[i]) }
    return sum
}
