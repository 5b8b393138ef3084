import Attacks
import Datasets
import Numerics
import Tensor

/// A universal perturbation: what is added to images of all classes to take them into one class. (34, 34, channels) as the network's
/// input, in
/// normalised units; its norms are those of pixels from 0 to 1.
package struct Perturbation: Equatable {
    /// Spread over all pixels, its L2 norm limited; or on few pixels, the sum over pixels of the norms over channels limited.
    package enum Kind: Int, CaseIterable { case spread, sparse }

    package let target: Int, kind: Kind
    package var values: [Float]
    /// Its largest norm.
    package var limit: Double

    package init(target: Int, kind: Kind, values: [Float], limit: Double) {
        (self.target, self.kind, self.values, self.limit) = (target, kind, values, limit)
    }

    /// Length of a step, in pixel units.
    private var step: Double { kind == .spread ? DetectionSettings.spreadStep : DetectionSettings.sparseStep }

    /// One step up a gradient on the network's input, then back within the limit.
    mutating func ascend(_ gradient: [Float], _ range: PixelRange) {
        var squares = 0.0
        for k in values.indices where range.inside[k] {
            let g = Double(gradient[k] / range.std[k])
            squares += g * g
        }
        guard squares > 1e-40 else { return }
        let step = Float(step / squares.squareRoot())
        for k in values.indices where range.inside[k] { values[k] += step * gradient[k] / (range.std[k] * range.std[k]) }
        kind == .spread ? projectSpread(range) : projectSparse(range)
    }

    private mutating func projectSpread(_ range: PixelRange) {
        let norm = range.norm(values)
        guard norm > limit else { return }
        let factor = Float(limit / norm)
        for k in values.indices { values[k] *= factor }
    }

    /// Projection on the ball of the sum over pixels of the norms over channels (Duchi et al. 2008).
    private mutating func projectSparse(_ range: PixelRange) {
        for k in values.indices { values[k] = min(max(values[k], -1 / range.std[k]), 1 / range.std[k]) }
        let channels = range.channels
        let norms = (0..<values.count / channels).map { pixel in
            (pixel * channels..<(pixel + 1) * channels).reduce(0.0) { sum, k in
                let value = Double(values[k] * range.std[k])
                return sum + value * value
            }.squareRoot()
        }
        guard norms.reduce(0, +) > limit else { return }
        var sum = 0.0, cut = 0.0
        for (rank, norm) in norms.sorted(by: >).enumerated() {
            sum += norm
            let threshold = (sum - limit) / Double(rank + 1)
            guard norm > threshold else { break }
            cut = threshold
        }
        for (pixel, norm) in norms.enumerated() {
            let factor = norm > cut ? Float((norm - cut) / norm) : 0
            for k in pixel * channels..<(pixel + 1) * channels { values[k] *= factor }
        }
    }
}

/// Perturbations that ascend, each on images of its own in a batch.
package struct Ascent {
    package private(set) var perturbations: [Perturbation]
    /// Running mean of the margin that each reaches on images of other classes.
    private(set) var margins: [Double]
    private let range: PixelRange

    package init(_ perturbations: [Perturbation], _ range: PixelRange) {
        (self.perturbations, self.range) = (perturbations, range)
        margins = perturbations.map { _ in 0 }
    }

    /// An image under a perturbation, and what came of it.
    package struct Perturbed {
        package var image: Int, perturbation: Int, margin: Float = 0
        /// Of the loss, on the network's input.
        package var gradient: [Float] = []
    }

    /// Images for these perturbations, runs of equal length from `pool`, none that is predicted as the perturbation's own class.
    package func batch(_ chosen: [Int], images: Int, from pool: [Int], predictions: [Int], _ stream: inout RandomStream) -> Slots<Perturbed>
    {
        guard !chosen.isEmpty, images > 0 else { return Slots([]) }
        let run = max(1, min(DetectionSettings.imagesPerPerturbation, images / chosen.count))
        let first = images / run < chosen.count ? stream.index(below: chosen.count) : 0
        return Slots(
            (0..<images).map { k in
                let perturbation = chosen[(first + k / run) % chosen.count], target = perturbations[perturbation].target
                var image = pool[stream.index(below: pool.count)]
                for _ in 0..<20 where predictions[image] == target { image = pool[stream.index(below: pool.count)] }
                return Perturbed(image: image, perturbation: perturbation)
            })
    }

    /// Loads the image into the network's input, under its perturbation.
    package func load(_ perturbed: Perturbed, of samples: Samples, into x: UnsafeMutablePointer<Float>) {
        samples.load(perturbed.image, into: x)
        range.add(perturbations[perturbed.perturbation].values, to: x)
    }

    package func target(_ perturbed: Perturbed) -> Int { perturbations[perturbed.perturbation].target }

    /// Every perturbation in the batch takes a step up its gradient, summed over its images.
    package mutating func climb(_ batch: Slots<Perturbed>) {
        for perturbation in Set((0..<batch.count).map { batch[$0].perturbation }).sorted() {
            let members = (0..<batch.count).filter { batch[$0].perturbation == perturbation }
            var sum = [Float](repeating: 0, count: range.inside.count)
            for member in members {
                let gradient = batch[member].gradient
                for k in sum.indices { sum[k] += gradient[k] }
            }
            let mean = members.reduce(0) { $0 + Double(batch[$1].margin) } / Double(members.count)
            margins[perturbation] = 0.7 * margins[perturbation] + 0.3 * mean
            perturbations[perturbation].ascend(sum, range)
        }
    }

    /// Puts others in the place of perturbations.
    mutating func replace(_ perturbation: Int, by other: Perturbation) { perturbations[perturbation] = other }
}
