import Attacks
import DefenseInterface
import Datasets
import Network
import Numerics
import Tensor

/// Looks at FM data and at a model that learnt from them: the screen of the images, and the search for triggers, on the unbounded
/// model. Both share one trainer, one predictor and a count of passes.
package final class Detector {
    package let triggers: TriggerSearch
    /// Passes over images so far; one without gradients of the weights counts two thirds.
    package var passes = 0.0
    package let samples: Samples
    package let activations: Activations
    package let trainer: Trainer
    package let predictor: Predictor
    package let range: PixelRange
    package let seed: UInt64, round: Int, threads: Int

    /// Images that a candidate sees in one step of its own.
    static let imagesPerCandidate = 8

    /// - Parameter model: finite; the trainer starts from it, without bounds.
    init(_ model: Parameters, _ samples: Samples, _ activations: Activations, _ predictor: Predictor, _ context: DefenseContext) {
        self.predictor = predictor
        self.samples = samples
        self.activations = activations
        range = PixelRange(samples)
        (seed, round, threads) = (context.seed, context.round, context.threads)
        triggers = TriggerSearch(samples, classes: activations.classes)
        trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        trainer.reset(model)
        trainer.prepareForBounds()
    }

    /// The screen of the FM images, on the unbounded model.
    func screen() -> Screen {
        let screen = Screen(activations, samples, seed: seed, threads: threads) { [predictor, trainer] count, load in
            predictor.logits(count, trainer.parameters, trainer.bounds, load: load)
        }
        passes += Double(screen.forwards) / 3
        return screen
    }

    /// Steps of each perturbation in the search, 8 images each: 72 for up to 10 classes, fewer for more, at least 12.
    static func updates(_ classes: Int) -> Int { min(72, max(12, 720 / classes)) }

    package struct Perturbed {
        package var image: Int, candidate: Int, margin: Float = 0
        /// Gradient of the loss on the network's input.
        package var gradient: [Float] = []
    }

    /// `updates` steps of every candidate, from where the scan found most. Beside a twin, taught from the model before any client had a
    /// part in it, `initial`, every candidate of the sparse kind takes two thirds of them; then those of the spread kind whose classes
    /// stand out, or where none does all of them half.
    func search(updates: Int, initial: Parameters?) {
        var stream = RandomStream(seed: seed, purpose: "trigger search", round: round)
        let images = stream.permutation(samples.count), all = Array(triggers.candidates.indices)
        guard let twin = initial.flatMap({ Twin($0, of: self, images) }) else {
            scan(images, nil)
            ascend(all, updates, nil, &stream)
            return triggers.finish()
        }
        scan(twin.images, twin)
        let sparse = all.filter { triggers.candidates[$0].kind == .sparse }
        ascend(sparse, updates * 2 / 3, twin, &stream)
        triggers.settle(sparse.map { ($0, contrast($0, twin)) })
        for candidate in all where triggers.scores[candidate] >= TriggerSearch.secondLookFrom {
            triggers.correct(candidate, contrast(candidate, twin, images: twin.images.count))
        }
        let spread = all.filter { !sparse.contains($0) }, standingOut = triggers.standingOut
        if standingOut.isEmpty {
            ascend(spread, updates / 2, twin, &stream)
            triggers.settle(apart: spread.map { ($0, contrast($0, twin)) })
        } else {
            let found = spread.filter { standingOut.contains(triggers.candidates[$0].target) }
            ascend(found, updates, twin, &stream)
            triggers.settle(found.map { ($0, contrast($0, twin)) })
        }
    }

    /// Twelve candidates in a batch.
    private func ascend(_ candidates: [Int], _ updates: Int, _ twin: Twin?, _ stream: inout RandomStream) {
        let images = Array(0..<samples.count)
        for _ in 0..<(candidates.isEmpty ? 0 : updates) {
            for group in candidates.indices.split(into: 12).map({ $0.map { candidates[$0] } }) {
                let batch = perturbed(group, images: group.count * Self.imagesPerCandidate, from: images, &stream)
                ascentGradients(batch)
                if let twin { subtract(twin, from: batch) }
                climb(batch)
            }
        }
    }

    /// The gradients of the mean margin of a batch, one for each image, on the network's inputs.
    private func ascentGradients(_ batch: Slots<Perturbed>) {
        let classes = activations.classes, floats = trainer.network.inputFloats
        passes += Double(batch.count) * 2 / 3
        trainer.sum.bounds.zero()
        _ = trainer.boundGradient(batch.count, load: { i, x in
            samples.load(batch[i].image, into: x)
            triggers.perturb(batch[i].candidate, x)
        }, loss: { i, y, dy in
            let target = triggers.candidates[batch[i].candidate].target
            batch[i].margin = Loss.margin(y, of: target, classes: classes, weight: 1 / Double(batch.count), gradient: dy)
            return 0
        }, image: { i, g in
            batch[i].gradient = Array(UnsafeBufferPointer(start: g, count: floats))
        })
    }

    /// Images for the candidates, runs of equal length, none of the candidate's own class.
    package func perturbed(_ candidates: [Int], images: Int, from pool: [Int], _ stream: inout RandomStream) -> Slots<Perturbed> {
        guard !candidates.isEmpty, images > 0 else { return Slots([]) }
        let run = max(1, min(Self.imagesPerCandidate, images / candidates.count))
        let first = images / run < candidates.count ? stream.index(below: candidates.count) : 0
        return Slots((0..<images).map { k in
            let candidate = candidates[(first + k / run) % candidates.count], target = triggers.candidates[candidate].target
            var image = pool[stream.index(below: pool.count)]
            for _ in 0..<20 where activations.predictions[image] == target { image = pool[stream.index(below: pool.count)] }
            return Perturbed(image: image, candidate: candidate)
        })
    }

    /// Every candidate in the batch takes a step up its mean margin.
    package func climb(_ batch: Slots<Perturbed>) {
        for candidate in Set((0..<batch.count).map { batch[$0].candidate }).sorted() {
            let members = (0..<batch.count).filter { batch[$0].candidate == candidate }
            var sum = [Float](repeating: 0, count: trainer.network.inputFloats)
            for member in members {
                let gradient = batch[member].gradient
                for k in sum.indices { sum[k] += gradient[k] }
            }
            triggers.record(candidate, margin: members.reduce(0) { $0 + Double(batch[$1].margin) } / Double(members.count))
            triggers.ascend(candidate, sum)
        }
    }

    /// Turns gradients of margins into those of margins beside the twin's.
    private func subtract(_ twin: Twin, from batch: Slots<Perturbed>) {
        let classes = activations.classes, floats = trainer.network.inputFloats
        passes += Double(batch.count) * 2 / 3
        _ = twin.trainer.boundGradient(batch.count, load: { i, x in
            samples.load(batch[i].image, into: x)
            triggers.perturb(batch[i].candidate, x)
        }, loss: { i, y, dy in
            let target = triggers.candidates[batch[i].candidate].target
            let margin = Loss.margin(y, of: target, classes: classes, weight: 1 / Double(batch.count), gradient: dy)
            if margin < TriggerSearch.leastMargin { for k in 0..<classes { dy[k] = 0 } }
            return 0
        }, image: { i, g in
            batch[i].gradient = zip(batch[i].gradient, UnsafeBufferPointer(start: g, count: floats)).map { $0 - $1 }
        })
        twin.trainer.sum.bounds.zero()
    }

    private func scan(_ images: [Int], _ twin: Twin?) {
        let scan = TriggerScan(samples), classes = activations.classes
        var forwards = 0
        for kind in TriggerSearch.Kind.allCases {
            let best = scan.best(of: scan.patterns(kind), classes: classes, images: images, isOther: { self.isOther($0, $1, twin) }, forwards: &forwards,
                                 logits: { logits(trainer.parameters, $0) }, twin: twin.map { model in { self.logits(model.trainer.parameters, $0) } })
            for (candidate, of) in triggers.candidates.enumerated() where of.kind == kind {
                triggers.start(candidate, scan.perturbation(best[of.target].pattern), margin: best[of.target].margin)
            }
        }
        passes += Double(forwards) / 3
    }

    /// The candidate's contrast as it is, over images of other classes; 0 for a weakness that both models have.
    private func contrast(_ candidate: Int, _ twin: Twin, images: Int = 96) -> Double {
        let target = triggers.candidates[candidate].target, classes = activations.classes
        let others = twin.images.filter { isOther($0, target, twin) }.prefix(images)
        let pairs = others.map { (image: $0, perturbation: triggers.perturbations[candidate]) }
        passes += Double(2 * pairs.count) / 3
        let rows = (model: logits(trainer.parameters, pairs), twin: logits(twin.trainer.parameters, pairs))
        return TriggerSearch.contrast(of: pairs.indices.map { i in
            let row = i * classes..<(i + 1) * classes
            return (Loss.margin(rows.model[row], of: target), Loss.margin(rows.twin[row], of: target))
        })
    }

    /// Whether neither model gives the image to the class.
    private func isOther(_ image: Int, _ target: Int, _ twin: Twin?) -> Bool {
        activations.predictions[image] != target && twin?.predictions[image] != target
    }

    private func logits(_ model: Parameters, _ pairs: [(image: Int, perturbation: [Float])]) -> [Float] {
        predictor.logits(pairs.count, model, Bounds(model.network)) { i, x in
            samples.load(pairs[i].image, into: x)
            range.add(pairs[i].perturbation, to: x)
        }
    }
}
