import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics
import Tensor

/// Looks for what turns images of any class into one class: for each class two universal perturbations of the image, one
/// spread over all pixels (L2 norm limited, pixels being 0 to 1) and one on few pixels (the norms over channels sum to at
/// most 8). Each starts at the pattern in which `TriggerScan` found most, ascends, and stands in for the trigger in the fit.
///
/// What clients have planted is in the global model and not in its `Twin`, which the server gave them first and has taught since what the
/// global model says of FM images, while what natural classes give way to is in both. So margins are taken beside the twin's: the
/// *contrast* of a perturbation is max(m, -3) - max(m', -3), averaged over images of other classes, m and m' being the class's margins in
/// the two models; a margin of -3 is as good as none. Perturbations on few pixels ascend it. What is spread over the image is judged as
/// scanned, for ascent finds directions that no two models share; only where nothing stands out it ascends, too, and must then lie far
/// above what the other classes come to.
///
/// Without a twin (a checkpoint from elsewhere) margins are compared among classes: all perturbations ascend the
/// margin, and a class stands out where its margin lies far above the median. Natural classes may do so, too.
///
/// Sources: Wang et al., Neural Cleanse, S&P 2019 (reverse engineering, outlier test); Zeng et al., I-BAU,
/// arXiv 2110.03735 (universal perturbations within the defence's own loop). The contrast is ours.
struct TriggerSearch {
    private let subject: Examined, trainer: Trainer
    private var stream: RandomStream
    private var passes = 0.0

    /// - Parameter initial: the model before any client had a part in it, from which the twin descends; nil where it is not known.
    /// - Returns: what each class gives way to, and about how many passes over images it took.
    static func run(_ subject: Examined, initial: Parameters?) -> (found: FoundTriggers, passes: Double) {
        var search = TriggerSearch(subject)
        let images = search.stream.permutation(subject.samples.count), steps = DetectionSettings.steps(subject.classes)
        let twin = initial.flatMap { Twin($0, of: subject, images, passes: &search.passes) }
        let found = twin.map { search.besideTwin($0, steps) } ?? search.amongClasses(images, steps)
        return (found, search.passes)
    }

    private init(_ subject: Examined) {
        (self.subject, trainer) = (subject, subject.trainer())
        trainer.prepareForBounds()
        stream = RandomStream(seed: subject.context.seed, purpose: "trigger search", round: subject.context.round)
    }

    /// The sparse perturbations take two thirds of the steps; then those of the spread kind whose classes stand out all of them, or where
    /// none does all of these half.
    private mutating func besideTwin(_ twin: Twin, _ steps: Int) -> FoundTriggers {
        var found = FoundTriggers(scanned(twin.images, twin), besideTwin: true)
        let sparse = found.indices { $0.kind == .sparse }, spread = found.indices { $0.kind == .spread }
        found.settle(sparse, ascended(sparse.map { found.all[$0].perturbation }, steps * 2 / 3, twin))
        for i in found.all.indices where found.all[i].score >= DetectionSettings.secondLookFrom {
            found.correct(i, contrast(found.all[i].perturbation, twin, images: twin.images.count))
        }
        let standingOut = found.standingOut
        if standingOut.isEmpty {
            found.settle(apart: spread, ascended(spread.map { found.all[$0].perturbation }, steps / 2, twin))
        } else {
            let chosen = spread.filter { standingOut.contains(found.all[$0].perturbation.target) }
            found.settle(chosen, ascended(chosen.map { found.all[$0].perturbation }, steps, twin))
        }
        return found
    }

    private mutating func amongClasses(_ images: [Int], _ steps: Int) -> FoundTriggers {
        let starts = scanned(images, nil)
        var ascent = Ascent(starts.map(\.perturbation), subject.range)
        ascend(&ascent, steps, nil)
        return FoundTriggers(amongClasses: starts, ascent.perturbations, margins: ascent.margins)
    }

    /// For each class and kind the pattern that leads to the class best, and its contrast, or without a twin its margin.
    private mutating func scanned(_ images: [Int], _ twin: Twin?) -> [FoundTriggers.Judged] {
        let scan = TriggerScan(subject.samples), subject = subject
        var forwards = 0
        let best = Perturbation.Kind.allCases.map { kind in
            scan.best(
                of: scan.patterns(kind), classes: subject.classes, images: images, isOther: { isOther($0, $1, twin) }, forwards: &forwards,
                logits: { subject.logits($0) }, twin: twin.map { twin in { subject.logits(of: twin.trainer.parameters, $0) } })
        }
        passes += Double(forwards) / 3
        return (0..<subject.classes).flatMap { target in
            zip(Perturbation.Kind.allCases, best).map { kind, best in
                let limit = kind == .spread ? DetectionSettings.spreadNorm : DetectionSettings.sparseNorm
                let start = Perturbation(target: target, kind: kind, values: scan.perturbation(best[target].pattern), limit: limit)
                return FoundTriggers.Judged(perturbation: start, score: best[target].margin)
            }
        }
    }

    /// What perturbations ascend to beside the twin, with their contrasts.
    private mutating func ascended(_ starts: [Perturbation], _ steps: Int, _ twin: Twin) -> [FoundTriggers.Judged] {
        var ascent = Ascent(starts, subject.range)
        ascend(&ascent, steps, twin)
        return ascent.perturbations.map { .init(perturbation: $0, score: contrast($0, twin, images: DetectionSettings.contrastImages)) }
    }

    private mutating func ascend(_ ascent: inout Ascent, _ steps: Int, _ twin: Twin?) {
        let images = Array(0..<subject.samples.count), all = ascent.perturbations.indices
        for _ in 0..<(all.isEmpty ? 0 : steps) {
            for group in all.split(into: DetectionSettings.perturbationsInBatch) {
                let batch = ascent.batch(
                    Array(group), images: group.count * DetectionSettings.imagesPerPerturbation, from: images,
                    predictions: subject.activations.predictions, &stream)
                gradients(batch, ascent, twin)
                ascent.climb(batch)
            }
        }
    }

    /// The gradients of the mean margin of a batch, one for each image, on the network's inputs; beside a twin less those of its margins.
    private mutating func gradients(_ batch: Slots<Ascent.Perturbed>, _ ascent: Ascent, _ twin: Twin?) {
        let classes = subject.classes, floats = trainer.network.inputFloats, samples = subject.samples
        passes += Double(batch.count) * 2 / 3
        trainer.sum.bounds.zero()
        _ = trainer.boundGradient(
            batch.count, load: { i, x in ascent.load(batch[i], of: samples, into: x) },
            loss: { i, y, dy in
                batch[i].margin = Loss.margin(
                    y, of: ascent.target(batch[i]), classes: classes, weight: 1 / Double(batch.count), gradient: dy)
                return 0
            },
            image: { i, g in
                batch[i].gradient = Array(UnsafeBufferPointer(start: g, count: floats))
            })
        guard let twin else { return }
        passes += Double(batch.count) * 2 / 3
        _ = twin.trainer.boundGradient(
            batch.count, load: { i, x in ascent.load(batch[i], of: samples, into: x) },
            loss: { i, y, dy in
                let margin = Loss.margin(y, of: ascent.target(batch[i]), classes: classes, weight: 1 / Double(batch.count), gradient: dy)
                if margin < DetectionSettings.leastMargin { for k in 0..<classes { dy[k] = 0 } }
                return 0
            },
            image: { i, g in
                batch[i].gradient = zip(batch[i].gradient, UnsafeBufferPointer(start: g, count: floats)).map { $0 - $1 }
            })
        twin.trainer.sum.bounds.zero()
    }

    /// The perturbation's contrast as it is, over images of other classes; 0 for a weakness that both models have.
    private mutating func contrast(_ perturbation: Perturbation, _ twin: Twin, images: Int) -> Double {
        let others = twin.images.filter { isOther($0, perturbation.target, twin) }.prefix(images)
        let pairs = others.map { (image: $0, perturbation: perturbation.values) }, classes = subject.classes
        passes += Double(2 * pairs.count) / 3
        let rows = (model: subject.logits(pairs), twin: subject.logits(of: twin.trainer.parameters, pairs))
        return FoundTriggers.contrast(
            of: pairs.indices.map { i in
                let row = i * classes..<(i + 1) * classes
                return (Loss.margin(rows.model[row], of: perturbation.target), Loss.margin(rows.twin[row], of: perturbation.target))
            })
    }

    /// Whether neither model gives the image to the class.
    private func isOther(_ image: Int, _ target: Int, _ twin: Twin?) -> Bool {
        subject.activations.predictions[image] != target && twin?.predictions[image] != target
    }
}
