import Attacks
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// SCAn, the statistical contamination analyser: a class with poison is better told as two groups than as one.
///
/// Every representation is a class's identity u_l plus a variation that all classes have alike: x = u_l + e, with covariances S_u and
/// S_e, which expectation maximisation estimates from all FM images. Then each class is split in two by the distance under S_e, and
///
///     J_l  =  mean over its n images of  (x - mu)^T S_e^-1 (x - mu)  -  (x - c)^T S_e^-1 (x - c)
///
/// says how much better the two groups' means c tell it than its one identity mu = n S_u (n S_u + S_e)^-1 (mean of the class). A class
/// whose J lies more than e^2 robust deviations above the classes' median is poisoned, and its smaller group is left out.
///
/// The source estimates S_u and S_e from clean images, and takes the group for clean that these are in. A server has none: here all FM
/// images stand for them, and the larger group counts as clean. The published code, another than the paper's formula, leaves the factor
/// S_u S_e^-1 out of mu; this follows the paper.
///
/// Source: Tang et al., USENIX Security 2021, arXiv 1908.00686, sections 4.2 to 4.4.
public struct ContaminationAnalyzer: DataDefense {
    public static let name = "scan"
    /// Robust deviations above the median from which a class is poisoned: e squared.
    static let threshold = 7.389
    /// The estimate stands still when the covariances change by less than this part of themselves, or after so many repetitions.
    static let still = 1e-5, mostRepetitions = 100
    /// Of the mean variance, added to every one: units that never fire have none.
    static let ridge = 1e-9
    /// A median absolute deviation is that part of a normal distribution's standard deviation.
    static let normal = 1.4826
    /// Fewer images of a class are not split.
    static let leastOfClass = 4

    public init(_ settings: Settings = Settings()) {}

    public func examine(_ model: Parameters, _ context: DefenseContext) throws -> (images: [Int], findings: [Finding]) {
        examine(try Representations(model, context, for: Self.name), threads: context.threads)
    }

    func examine(_ representations: Representations, threads: Int) -> (images: [Int], findings: [Finding]) {
        let decomposition = Decomposition(representations)
        let splits = parallelMap(representations.classes, threads: threads) { label, _ in split(decomposition, label) }
        let indices = Self.anomalyIndices(splits.map { $0.score }), poisoned = indices.indices.filter { indices[$0] > Self.threshold }
        return (
            poisoned.flatMap { splits[$0].smaller }.sorted(),
            [
                Finding("classes that are two groups", poisoned.isEmpty ? "none" : poisoned.map { "\($0)" }.joined(separator: " ")),
                Finding("robust deviations of each class", indices.map { fixed($0, 1) }.joined(separator: " ")),
            ]
        )
    }

    /// Splits a class in two: its smaller group, and J.
    private func split(_ d: Decomposition, _ label: Int) -> (smaller: [Int], score: Double) {
        let images = d.images[label]
        guard images.count >= Self.leastOfClass else { return ([], 0) }
        let x = images.map { d.whitened[$0] }, n = Double(images.count)
        let mean = x.reduce(into: x[0].map { _ in 0.0 }) { sum, row in for k in row.indices { sum[k] += row[k] / n } }
        let centred = x.map { zip($0, mean).map { $0 - $1 } }
        let along = leadingComponents(centred, count: 1)
        let sides = twoMeans(x, from: along.map { $0.first ?? 0 > 0 }), minority = 2 * sides.count { $0 } < sides.count
        let smaller = images.indices.filter { sides[$0] == minority }.map { images[$0] }
        guard !smaller.isEmpty else { return ([], 0) }
        // About the class's mean a row lies so much further than about those of its group, and about mu further by their distance.
        let identity = squaredDistance(mean, d.identity(of: label))
        return (smaller, identity + explained(x, sides) * centred.reduce(0) { $0 + dot($1, $1) } / n)
    }

    /// How many robust deviations each score lies above the median of all; all 0 where most scores are the same.
    static func anomalyIndices(_ scores: [Double]) -> [Double] {
        let middle = median(scores), deviation = normal * median(scores.map { abs($0 - middle) })
        return scores.map { deviation > 0 ? ($0 - middle) / deviation : 0 }
    }
}

/// Representations in coordinates in which the variation within classes has variance 1 in every direction.
struct Decomposition {
    /// (images, units): L^-1 (x - mean of all), where S_e = L L^T.
    private(set) var whitened: [[Double]] = []
    /// Positions of the images of each class.
    let images: [[Int]]
    /// L^-1 times the identity of each class.
    private var identities: [[Double]]

    func identity(of label: Int) -> [Double] { identities[label] }

    /// Expectation maximisation. A class's identity is U (1/n + U^T S_e^-1 U)^-1 U^T S_e^-1 times its mean, where S_u = U U^T has a
    /// column for each class: no matrix of S_u's size is inverted.
    init(_ representations: Representations) {
        let all = representations.centred(Array(representations.labels.indices)), d = all.first?.count ?? 0, n = Double(all.count)
        images = (0..<representations.classes).map(representations.images)
        let means = images.map { members in
            members.reduce(into: [Double](repeating: 0, count: d)) { sum, i in
                for k in 0..<d { sum[k] += all[i][k] / Double(members.count) }
            }
        }
        let within = Self.pooled(images.filter { !$0.isEmpty }.map { ($0.count, covariance(all, $0)) }, d, n)
        identities = means
        var factor = within, before: [Double] = []
        for _ in 0..<ContaminationAnalyzer.mostRepetitions {
            let variation = Self.add(identities, means, images.map(\.count), to: within, n)
            factor = Self.factor(variation, d)
            identities = Self.identities(of: means, images.map(\.count), from: identities, factor, n)
            let now = variation + identities.flatMap { $0 }
            if Self.isStill(before, now) { break }
            before = now
        }
        whitened = all.map { Self.solved(factor, d, $0) }
        identities = identities.map { Self.solved(factor, d, $0) }
    }

    private static func pooled(_ parts: [(count: Int, covariance: [Double])], _ d: Int, _ n: Double) -> [Double] {
        parts.reduce(into: [Double](repeating: 0, count: d * d)) { sum, part in
            for k in sum.indices { sum[k] += part.covariance[k] * Double(part.count) / n }
        }
    }

    /// S_e (lower triangle): the spread about the classes' means, and that of the means about the identities.
    private static func add(_ identities: [[Double]], _ means: [[Double]], _ counts: [Int], to within: [Double], _ n: Double) -> [Double] {
        var s = within
        for (label, count) in counts.enumerated() where count > 0 {
            let off = zip(means[label], identities[label]).map { $0 - $1 }, d = off.count
            for k in 0..<d { for j in 0...k { s[k * d + j] += off[k] * off[j] * Double(count) / n } }
        }
        return s
    }

    private static func factor(_ s: [Double], _ d: Int) -> [Double] {
        var l = s
        let diagonal = (0..<d).reduce(0) { $0 + s[$1 * d + $1] } / Double(max(1, d))
        for k in 0..<d { l[k * d + k] += ContaminationAnalyzer.ridge * diagonal }
        choleskyFactor(&l, d)
        return l
    }

    private static func solved(_ l: [Double], _ d: Int, _ x: [Double]) -> [Double] {
        var y = x
        solveLower(l, d, &y)
        return y
    }

    private static func identities(
        of means: [[Double]], _ counts: [Int], from former: [[Double]], _ l: [Double], _ n: Double
    ) -> [[Double]] {
        let d = former.first?.count ?? 0
        let centre = (0..<d).map { k in zip(former, counts).reduce(0) { $0 + $1.0[k] * Double($1.1) / n } }
        let u = zip(former, counts).map { row, count in zip(row, centre).map { ($0 - $1) * (Double(count) / n).squareRoot() } }
        let whiteU = u.map { solved(l, d, $0) }, c = u.count
        return zip(means, counts).map { mean, count in
            guard count > 0 else { return mean }
            let white = solved(l, d, mean)
            var a = [Double](repeating: 0, count: c * c), y = whiteU.map { dot($0, white) }
            for i in 0..<c { for j in 0...i { a[i * c + j] = dot(whiteU[i], whiteU[j]) + (i == j ? 1 / Double(count) : 0) } }
            choleskyFactor(&a, c)
            solveLower(a, c, &y)
            solveUpper(a, c, &y)
            return (0..<d).map { k in (0..<c).reduce(0) { $0 + u[$1][k] * y[$1] } }
        }
    }

    private static func isStill(_ before: [Double], _ now: [Double]) -> Bool {
        guard before.count == now.count else { return false }
        return squaredDistance(before, now).squareRoot() < ContaminationAnalyzer.still * dot(now, now).squareRoot()
    }
}
