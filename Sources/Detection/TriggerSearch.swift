import Attacks
import Datasets
import Network
import Numerics
import Tensor

/// Looks for what turns images of any class into one class: for each class two universal perturbations of the image, one
/// spread over all pixels (L2 norm limited, pixels being 0 to 1) and one on few pixels (the norms over channels sum to at
/// most 8). Each starts at the pattern in which `TriggerScan` found most, ascends, and stands in for the trigger in the fit.
///
/// What clients have planted is in the global model and not in its `Twin`, which the server gave them first and has taught
/// since what the global model says of FM images, while what natural classes give way to is in both. So margins are taken
/// beside the twin's: the *contrast* of a perturbation is max(m, -3) - max(m', -3), averaged over images of other classes,
/// m and m' being the class's margins in the two models; a margin of -3 is as good as none. Perturbations on few pixels ascend it. What is spread over the image is judged as
/// scanned, for ascent finds directions that no two models share; only where nothing stands out it ascends, too, and must
/// then lie far above what the other classes come to.
///
/// Without a twin (a checkpoint from elsewhere) margins are compared among classes: all perturbations ascend the
/// margin, and a class stands out where its margin lies far above the median. Natural classes may do so, too.
///
/// Sources: Wang et al., Neural Cleanse, S&P 2019 (reverse engineering, outlier test); Zeng et al., I-BAU,
/// arXiv 2110.03735 (universal perturbations within the defence's own loop). The contrast is ours.
package final class TriggerSearch {
    package enum Kind: Int, CaseIterable { case spread, sparse }

    package struct Candidate: Hashable {
        package var target: Int, kind: Kind
    }

    /// In the fit, where classes are no longer compared, spread perturbations may be larger, and larger still from a wave that
    /// stood out as it was.
    package static let spreadNorm = 1.5, spreadNormInFit = 2.0, spreadNormFromStart = 3.0, sparseNorm = 8.0
    /// Length of a step: of the spread kind 0.45, of the sparse kind 1.8, in pixel units.
    package static let spreadStep = 0.45, sparseStep = 1.8
    /// Contrast in logits from which a class looks attacked, from which it is measured again on more images, and the margin that
    /// is as good as none.
    package static let contrastFrom = 1.1, secondLookFrom = 0.8, leastMargin: Float = -3
    /// Without a twin: robust deviations of the margin from which a class looks attacked; for a start fewer do, as natural classes reach less
    /// where nothing has been ascended. The least deviation is 0.5 logits.
    package static let deviations = 4.0, deviationsOfStart = 2.5, leastDeviation = 0.5

    package let candidates: [Candidate]
    /// Running mean of the margin that a candidate reaches on images of other classes.
    private(set) var margins: [Double]
    /// Beside a twin.
    private(set) var contrasts: [Double]?
    /// Largest norm of each candidate of the spread kind.
    private(set) var spreadNorms: [Double]

    private let channels: Int, floats: Int
    /// What each candidate started from, and the margin that it reaches as it is.
    private var starts: [(perturbation: [Float], margin: Double)]
    /// Of each candidate, in normalised units, (34, 34, channels) as the network's input.
    private(set) var perturbations: [[Float]]
    private let range: PixelRange

    package init(_ samples: Samples, classes: Int) {
        candidates = (0..<classes).flatMap { target in Kind.allCases.map { Candidate(target: target, kind: $0) } }
        range = PixelRange(samples)
        (channels, floats) = (samples.set.channels, 34 * 34 * samples.set.channels)
        margins = [Double](repeating: 0, count: candidates.count)
        perturbations = [[Float]](repeating: [Float](repeating: 0, count: floats), count: candidates.count)
        starts = perturbations.map { ($0, 0) }
        spreadNorms = perturbations.map { _ in Self.spreadNorm }
    }

    /// A candidate starts from a perturbation (34, 34, channels) in normalised units, which reaches that margin.
    package func start(_ candidate: Int, _ perturbation: [Float], margin: Double) {
        perturbations[candidate] = perturbation
        starts[candidate] = (perturbation, margin)
    }

    /// Of one image: a class's margin, and that in the twin.
    package static func contrast(_ margin: Float, _ twin: Float) -> Double { Double(max(margin, leastMargin) - max(twin, leastMargin)) }

    /// The mean over images of margins in the model and in the twin. 0 where in the twin more than a quarter as many images turn: that
    /// is a weakness that training has deepened, not planted.
    package static func contrast(of margins: [(model: Float, twin: Float)]) -> Double {
        let turned = (model: margins.count { $0.model > 0 }, twin: margins.count { $0.twin > 0 })
        guard 4 * turned.twin <= turned.model else { return 0 }
        return margins.reduce(0) { $0 + contrast($1.model, $1.twin) } / Double(max(1, margins.count))
    }

    /// Takes up the contrasts that candidates ascended to; those that started with more go back there, and those not among
    /// them are what they started from.
    package func settle(_ ascended: [(candidate: Int, contrast: Double)]) {
        var contrasts = contrasts ?? starts.map(\.margin)
        for (candidate, contrast) in ascended {
            let start = starts[candidate].margin
            contrasts[candidate] = max(contrast, start)
            if contrast < start { perturbations[candidate] = starts[candidate].perturbation }
            spreadNorms[candidate] = contrast < start ? Self.spreadNormFromStart : Self.spreadNormInFit
        }
        self.contrasts = contrasts
    }

    /// Takes up the contrasts of all candidates of a kind, which may be large for natural classes, only where they lie far above
    /// those of the other classes.
    package func settle(apart ascended: [(candidate: Int, contrast: Double)]) {
        for ((candidate, contrast), distance) in zip(ascended, Self.deviations(ascended.map(\.contrast))) {
            if distance >= Self.deviations, contrast > contrasts?[candidate] ?? .infinity {
                contrasts?[candidate] = contrast
                spreadNorms[candidate] = Self.spreadNormInFit
            } else {
                perturbations[candidate] = starts[candidate].perturbation
            }
        }
    }

    /// A candidate's contrast has been measured again.
    package func correct(_ candidate: Int, _ contrast: Double) { contrasts?[candidate] = contrast }

    /// Ends a search without a twin: a candidate whose start stands out more than what came of it goes back there.
    package func finish() {
        for (candidate, (ascended, start)) in zip(deviations(margins), startScores).enumerated() {
            spreadNorms[candidate] = Self.spreadNormInFit
            guard start > max(0, ascended) else { continue }
            perturbations[candidate] = starts[candidate].perturbation
            spreadNorms[candidate] = Self.spreadNormFromStart
        }
    }

    /// Adds the candidate's perturbation to a network input, within the range of pixels.
    package func perturb(_ candidate: Int, _ x: UnsafeMutablePointer<Float>) {
        range.add(perturbations[candidate], to: x)
    }

    /// One step of a candidate up the gradient of its margin, summed over images, which it takes in normalised units.
    package func ascend(_ candidate: Int, _ gradient: [Float]) {
        let kind = candidates[candidate].kind
        var squares = 0.0
        for k in 0..<floats where range.inside[k] {
            let g = Double(gradient[k] / range.std[k])
            squares += g * g
        }
        guard squares > 1e-40 else { return }
        let step = Float((kind == .spread ? Self.spreadStep : Self.sparseStep) / squares.squareRoot())
        for k in 0..<floats where range.inside[k] { perturbations[candidate][k] += step * gradient[k] / (range.std[k] * range.std[k]) }
        kind == .spread ? projectSpread(candidate) : projectSparse(candidate)
    }

    package func record(_ candidate: Int, margin: Double) { margins[candidate] = 0.7 * margins[candidate] + 0.3 * margin }

    /// For each candidate its contrast; without a twin how far its margin, or the one that it started with, lies above
    /// the median of its kind, in robust deviations.
    package var scores: [Double] { contrasts ?? zip(deviations(margins), startScores).map { max($0, $1) } }

    /// The score from which a class looks attacked.
    package var attackedFrom: Double { contrasts == nil ? Self.deviations : Self.contrastFrom }

    /// In words.
    package var unit: String { contrasts == nil ? "deviations, from \(fixed(Self.deviations, 1))" : "contrast to the twin, from \(fixed(Self.contrastFrom, 1))" }

    /// The largest score of each class's candidates.
    package var scoresOfClasses: [Double] {
        let scores = scores
        return (0..<candidates.count / Kind.allCases.count).map { target in
            candidates.indices.filter { candidates[$0].target == target }.map { scores[$0] }.max() ?? 0
        }
    }

    /// Classes that give way, and reach two thirds of the largest score.
    package var standingOut: [Int] { Self.standingOut(scoresOfClasses, from: attackedFrom) }

    package static func standingOut(_ scores: [Double], from least: Double) -> [Int] {
        let largest = scores.max() ?? 0
        return scores.indices.filter { scores[$0] >= least && scores[$0] > largest * 2 / 3 }
    }

    /// The candidates of a class that stands out, without a twin; beside one those of them that do so themselves.
    package func found(_ target: Int) -> [Int] {
        candidates.indices.filter { candidates[$0].target == target && (contrasts?[$0] ?? .infinity) >= Self.contrastFrom }
    }

    /// In the units of `deviations`; 0 where the margin is below 0: most images do not turn.
    private var startScores: [Double] {
        zip(deviations(starts.map(\.margin)), starts).map { $1.margin > 0 ? $0 * Self.deviations / Self.deviationsOfStart : 0 }
    }

    private func deviations(_ margins: [Double]) -> [Double] {
        var result = [Double](repeating: 0, count: candidates.count)
        for kind in Kind.allCases {
            let members = candidates.indices.filter { candidates[$0].kind == kind }
            for (member, value) in zip(members, Self.deviations(members.map { margins[$0] })) { result[member] = value }
        }
        return result
    }

    /// From the median, in robust deviations of at least 0.5.
    private static func deviations(_ margins: [Double]) -> [Double] {
        let values = margins.map { Float($0) }, median = quantile(0.5, values)
        let deviation = max(1.4826 * Double(quantile(0.5, values.map { abs($0 - median) })), leastDeviation)
        return margins.map { ($0 - Double(median)) / deviation }
    }

    private func projectSpread(_ candidate: Int) {
        let norm = range.norm(perturbations[candidate])
        guard norm > spreadNorms[candidate] else { return }
        let factor = Float(spreadNorms[candidate] / norm)
        for k in 0..<floats { perturbations[candidate][k] *= factor }
    }

    /// Projection on the ball of the sum over pixels of the norms over channels (Duchi et al. 2008).
    private func projectSparse(_ candidate: Int) {
        for k in 0..<floats { perturbations[candidate][k] = min(max(perturbations[candidate][k], -1 / range.std[k]), 1 / range.std[k]) }
        let norms = (0..<floats / channels).map { pixel in
            (pixel * channels..<(pixel + 1) * channels).reduce(0.0) { sum, k in
                let value = Double(perturbations[candidate][k] * range.std[k])
                return sum + value * value
            }.squareRoot()
        }
        guard norms.reduce(0, +) > Self.sparseNorm else { return }
        var sum = 0.0, cut = 0.0
        for (rank, norm) in norms.sorted(by: >).enumerated() {
            sum += norm
            let threshold = (sum - Self.sparseNorm) / Double(rank + 1)
            guard norm > threshold else { break }
            cut = threshold
        }
        for (pixel, norm) in norms.enumerated() {
            let factor = norm > cut ? Float((norm - cut) / norm) : 0
            for k in pixel * channels..<(pixel + 1) * channels { perturbations[candidate][k] *= factor }
        }
    }
}
