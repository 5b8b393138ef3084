import Attacks
import Datasets
import Network
import Tensor

/// The search for triggers on the unbounded model.
extension BoundOptimizer {
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
                _ = gradient(Batch(perturbed: batch), limited: false, 1)
                if let twin { subtract(twin, from: batch) }
                climb(batch)
            }
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
            let margin = Defenses.margin(y, of: target, classes: classes, weight: 1 / Double(batch.count), gradient: dy)
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
            return (margin(rows.model[row], of: target), margin(rows.twin[row], of: target))
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
