import Attacks
import Detection
import Datasets
import DefenseInterface
import Network
import Numerics
import Tensor

/// Adam on the relative bounds r = z / z0 in [0, 1]. Perturbations that the search found go on ascending in it.
final class BoundOptimizer {
    private let evidence: Evidence, samples: Samples, range: PixelRange, trainer: Trainer
    private var ascent: Ascent
    private var adam: Adam
    private var perLayer = false, comparesLogits = false
    private var stream: RandomStream
    /// Over images; one without gradients of the weights counts two thirds.
    private(set) var passes = 0.0
    private var activations: Activations { evidence.activations }

    var bounds: Bounds { Bounds(copying: trainer.bounds) }

    /// Starts without bounds.
    init(_ model: Parameters, _ evidence: Evidence, _ context: DefenseContext) {
        (self.evidence, samples, range) = (evidence, context.synthetic, PixelRange(context.synthetic))
        ascent = Ascent(evidence.perturbations, range)
        trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        trainer.reset(model)
        trainer.prepareForBounds()
        adam = Adam(model.network.totalBounds)
        stream = RandomStream(seed: context.seed, purpose: "bound fit", round: context.round)
    }

    /// What a fit came to, over the last ten steps before its bounds: the share of kept images with the unbounded prediction, and that of
    /// suspects still in their class, nil without suspects.
    struct Fitted {
        var agreement = 1.0, stayed: Double?
    }

    /// Fits the bounds from `start` on.
    func run(_ settings: BoundSettings, start: [Float], steps: Int) -> Fitted {
        writeBounds(start)
        (perLayer, comparesLogits) = (settings.perLayer, settings.comparesLogits)
        let kept = evidence.kept, witnesses = evidence.witnesses, found = evidence.triggers
        let fromSuspects = witnesses.isEmpty ? 0 : settings.suspectsInBatch,
            fromSearch = evidence.perturbations.isEmpty ? 0 : settings.perturbedInBatch
        let underTriggers = found.isEmpty ? 0 : settings.transplantedInBatch
        var pressure = fromSuspects > 0 && settings.stayed >= 1 ? 0 : 0.1, counts = Counts(), seen = 0, fitted = Fitted()
        var earlier: [(adam: Adam, fitted: Fitted)] = []  // where the last ten steps that went well began, and where they ended
        for step in 1..<steps + 1 {
            let plain = (0..<settings.keptInBatch).map { _ in kept[stream.index(below: kept.count)] }
            let batch = Batch(
                plain: plain, suspects: (0..<fromSuspects).map { _ in witnesses[stream.index(below: witnesses.count)] },
                transplanted: (0..<underTriggers).map { _ in
                    (image: kept[stream.index(below: kept.count)], overlay: found[stream.index(below: found.count)].overlay)
                },
                perturbed: ascent.batch(
                    Array(evidence.perturbations.indices), images: fromSearch, from: kept, predictions: activations.predictions, &stream))
            counts += gradient(batch, limited: true, settings.evidenceWeight)
            ascent.climb(batch.perturbed)
            seen += plain.count
            descend(settings.rate * (1 - Double(step - 1) / Double(steps)), pressure, start)
            if step % 10 == 0 {
                fitted.agreement = Double(counts.agreed) / Double(seen)
                fitted.stayed = fromSuspects > 0 ? Double(counts.stayed) / Double(10 * fromSuspects) : nil
                let more = fitted.stayed.map { $0 > settings.stayed } ?? (fitted.agreement >= settings.agreement)
                if fitted.agreement < settings.leastAgreement {
                    (adam, fitted) = earlier.first ?? (adam, fitted)
                    pressure = 0
                    writeBounds(start)
                } else {
                    earlier = earlier.suffix(1) + [(adam, fitted)]
                    pressure *= more ? 1.3 : 1 / 1.3
                }
                (counts, seen) = (Counts(), 0)
            }
        }
        return fitted
    }

    struct Batch {
        var plain: [Int] = []
        var suspects: [(image: Int, target: Int)] = []
        var transplanted: [(image: Int, overlay: Overlay)] = []
        var perturbed: Slots<Ascent.Perturbed> = Slots([])
        var count: Int { plain.count + suspects.count + transplanted.count + perturbed.count }
    }

    /// Of a batch: plain images with the unbounded prediction, and suspects still in their class.
    struct Counts {
        var agreed = 0, stayed = 0

        static func += (sum: inout Counts, other: Counts) {
            sum.agreed += other.agreed
            sum.stayed += other.stayed
        }
    }

    /// Leaves the gradient of one batch in the trainer. Margins count up to -0.5 if `limited`, else always.
    func gradient(_ batch: Batch, limited: Bool, _ weight: Double) -> Counts {
        let classes = activations.classes, agreements = Flags(batch.plain.count), stayed = Flags(batch.suspects.count),
            floats = trainer.network.inputFloats
        let suspectsEnd = batch.plain.count + batch.suspects.count, transplantedEnd = suspectsEnd + batch.transplanted.count
        passes += Double(batch.count) * 2 / 3
        trainer.sum.bounds.zero()
        activations.logits.withUnsafeBufferPointer { buffer in
            guard let logits = buffer.baseAddress else { return }
            _ = trainer.boundGradient(
                batch.count,
                load: { i, x in
                    if i < batch.plain.count {
                        samples.load(batch.plain[i], into: x)
                    } else if i < suspectsEnd {
                        samples.load(batch.suspects[i - batch.plain.count].image, into: x)
                    } else if i < transplantedEnd {
                        let (image, overlay) = batch.transplanted[i - suspectsEnd]
                        samples.load(image, into: x)
                        range.lay(overlay, on: x)
                    } else {
                        ascent.load(batch.perturbed[i - transplantedEnd], of: samples, into: x)
                    }
                },
                loss: { i, y, dy in
                    func divergence(_ image: Int, _ images: Int) -> Double {
                        Loss.divergence(y, from: activations.logits, row: image, classes: classes, images: images, gradient: dy)
                    }
                    if i < batch.plain.count {
                        agreements[i] = Loss.prediction(y, classes: classes) == activations.predictions[batch.plain[i]]
                        if comparesLogits {
                            return Loss.squaredError(
                                y, target: logits + batch.plain[i] * classes, classes: classes, batch: batch.plain.count, gradient: dy)
                        }
                        return divergence(batch.plain[i], batch.plain.count)
                    }
                    if (suspectsEnd..<transplantedEnd).contains(i) {
                        return divergence(batch.transplanted[i - suspectsEnd].image, batch.transplanted.count)
                    }
                    /// The loss of an image is `weight` times relu(margin + 0.5) if `limited`, else times the margin, over `images`.
                    func margin(of target: Int, images: Int) -> Float {
                        let value = Loss.margin(y, of: target, classes: classes, weight: weight / Double(images), gradient: dy)
                        if limited && !(value > -0.5) { for k in 0..<classes { dy[k] = 0 } }
                        return value
                    }
                    if i < suspectsEnd {
                        let target = batch.suspects[i - batch.plain.count].target
                        stayed[i - batch.plain.count] = margin(of: target, images: batch.suspects.count) > 0
                    } else {
                        let target = ascent.target(batch.perturbed[i - transplantedEnd])
                        batch.perturbed[i - transplantedEnd].margin = margin(of: target, images: batch.perturbed.count)
                    }
                    return 0
                },
                image: batch.perturbed.isEmpty
                    ? nil
                    : { i, g in
                        guard i >= transplantedEnd else { return }
                        batch.perturbed[i - transplantedEnd].gradient = Array(UnsafeBufferPointer(start: g, count: floats))
                    })
        }
        return Counts(agreed: agreements.count, stayed: stayed.count)
    }

    /// The relative bounds, and their moments.
    private struct Adam {
        var relative: [Double], first: [Double], second: [Double]
        var stepsDone = 0

        init(_ bounds: Int) {
            relative = [Double](repeating: 1, count: bounds)
            first = [Double](repeating: 0, count: bounds)
            second = first
        }
    }

    /// One step on r: gradient dL/dz * z0 + c / (number of bounds); beta 0.9 and 0.999.
    private func descend(_ rate: Double, _ pressure: Double, _ start: [Float]) {
        adam.stepsDone += 1
        var power1 = 1.0, power2 = 1.0
        for _ in 0..<adam.stepsDone { power1 *= 0.9; power2 *= 0.999 }
        let gradients = gradients(start)
        for i in gradients.indices {
            let g = gradients[i] + pressure / Double(gradients.count)
            adam.first[i] = 0.9 * adam.first[i] + 0.1 * g
            adam.second[i] = 0.999 * adam.second[i] + 0.001 * g * g
            let move = rate * (adam.first[i] / (1 - power1)) / ((adam.second[i] / (1 - power2)).squareRoot() + 1e-8)
            adam.relative[i] = min(1, max(0, adam.relative[i] - move))
        }
        writeBounds(start)
    }

    /// dL/dr; with one bound a layer the mean of its channels.
    private func gradients(_ start: [Float]) -> [Double] {
        var g = adam.relative.indices.map { Double(trainer.sum.bounds.base[$0]) * Double(start[$0]) }
        guard perLayer else { return g }
        for layer in trainer.network.layers {
            let bounds = trainer.network.bounds(of: layer), mean = bounds.reduce(0) { $0 + g[$1] } / Double(bounds.count)
            for i in bounds { g[i] = mean }
        }
        return g
    }

    private func writeBounds(_ start: [Float]) {
        for i in adam.relative.indices { trainer.bounds.buffer.base[i] = Float(adam.relative[i]) * start[i] }
    }
}
