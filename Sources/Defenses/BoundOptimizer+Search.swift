import Attacks
import Datasets
import Network
import Tensor

/// The search for triggers on the unbounded model.
extension BoundOptimizer {
    /// `updates` steps of every candidate, from where the scan found most. Beside the model before any client had a part in it,
    /// `initial`, every candidate of the sparse kind takes two thirds of them; then those of the spread kind whose classes stand out,
    /// or where none does all of them half.
    func search(updates: Int, initial: Parameters?) {
        var stream = RandomStream(seed: seed, purpose: "trigger search", round: round)
        let images = stream.permutation(samples.count), all = Array(triggers.candidates.indices)
        guard let earlier = initial.flatMap({ EarlierModel($0, beside: self, images) }) else {
            scan(images, nil)
            ascend(all, updates, nil, &stream)
            return triggers.finish()
        }
        scan(earlier.images, earlier)
        let sparse = all.filter { triggers.candidates[$0].kind == .sparse }
        ascend(sparse, updates * 2 / 3, earlier, &stream)
        triggers.settle(sparse.map { ($0, contrast($0, earlier)) })
        for candidate in all where triggers.scores[candidate] >= TriggerSearch.secondLookFrom {
            triggers.correct(candidate, contrast(candidate, earlier, images: earlier.images.count))
        }
        let spread = all.filter { !sparse.contains($0) }, standingOut = triggers.standingOut
        if standingOut.isEmpty {
            ascend(spread, updates / 2, earlier, &stream)
            triggers.settle(apart: spread.map { ($0, contrast($0, earlier)) })
        } else {
            let found = spread.filter { standingOut.contains(triggers.candidates[$0].target) }
            ascend(found, updates, earlier, &stream)
            triggers.settle(found.map { ($0, contrast($0, earlier)) })
        }
    }

    /// Twelve candidates in a batch.
    private func ascend(_ candidates: [Int], _ updates: Int, _ earlier: EarlierModel?, _ stream: inout RandomStream) {
        let images = Array(0..<samples.count)
        for _ in 0..<(candidates.isEmpty ? 0 : updates) {
            for group in candidates.indices.split(into: 12).map({ $0.map { candidates[$0] } }) {
                let batch = perturbed(group, images: group.count * Self.imagesPerCandidate, from: images, &stream)
                _ = gradient(Batch(perturbed: batch), limited: false, 1)
                if let earlier { subtract(earlier, from: batch) }
                climb(batch)
            }
        }
    }

    /// Turns gradients of margins into those of margins beside the earlier model's.
    private func subtract(_ earlier: EarlierModel, from batch: Slots<Perturbed>) {
        let classes = activations.classes, floats = trainer.network.inputFloats
        passes += Double(batch.count) * 2 / 3
        _ = earlier.trainer.boundGradient(batch.count, load: { i, x in
            samples.load(batch[i].image, into: x)
            triggers.perturb(batch[i].candidate, x)
        }, loss: { i, y, dy in
            let target = triggers.candidates[batch[i].candidate].target
            let margin = Defenses.margin(y, of: target, classes: classes, weight: 1 / Double(batch.count), gradient: dy)
            if margin < TriggerSearch.leastMargin { for k in 0..<classes { dy[k] = 0 } }
            return 0
        }, image: { i, g in
            for k in 0..<floats { batch[i].gradient[k] -= g[k] }
        })
        earlier.trainer.sum.bounds.zero()
    }

    private func scan(_ images: [Int], _ earlier: EarlierModel?) {
        let scan = TriggerScan(samples), classes = activations.classes
        var forwards = 0
        for kind in TriggerSearch.Kind.allCases {
            let best = scan.best(of: scan.patterns(kind), classes: classes, images: images, isOther: { self.isOther($0, $1, earlier) }, forwards: &forwards,
                                 logits: { logits(trainer.parameters, $0) }, earlier: earlier.map { model in { self.logits(model.trainer.parameters, $0) } })
            for (candidate, of) in triggers.candidates.enumerated() where of.kind == kind {
                triggers.start(candidate, scan.perturbation(best[of.target].pattern), margin: best[of.target].margin)
            }
        }
        passes += Double(forwards) / 3
    }

    /// The candidate's contrast as it is, over images of other classes; 0 for a weakness that both models have.
    private func contrast(_ candidate: Int, _ earlier: EarlierModel, images: Int = 96) -> Double {
        let target = triggers.candidates[candidate].target, classes = activations.classes
        let others = earlier.images.filter { isOther($0, target, earlier) }.prefix(images)
        let pairs = others.map { (image: $0, perturbation: triggers.perturbations[candidate]) }
        passes += Double(2 * pairs.count) / 3
        let rows = (now: logits(trainer.parameters, pairs), before: logits(earlier.trainer.parameters, pairs))
        return TriggerSearch.contrast(of: pairs.indices.map { i in
            let row = i * classes..<(i + 1) * classes
            return (margin(rows.now[row], of: target), margin(rows.before[row], of: target))
        })
    }

    /// Whether neither model gives the image to the class.
    private func isOther(_ image: Int, _ target: Int, _ earlier: EarlierModel?) -> Bool {
        activations.predictions[image] != target && earlier?.predictions[image] != target
    }

    fileprivate func logits(_ model: Parameters, _ pairs: [(image: Int, perturbation: [Float])]) -> [Float] {
        predictor.logits(pairs.count, model, Bounds()) { i, x in
            samples.load(pairs[i].image, into: x)
            range.add(pairs[i].perturbation, to: x)
        }
    }
}

/// The model before any client had a part in it, as the search looks at it.
private struct EarlierModel {
    let trainer: Trainer
    /// FM images, shuffled, and what it takes them for.
    let images: [Int], predictions: [Int: Int]

    static let imagesLookedAt = 400
    /// With the later model it must agree on that part of the images; one that has learnt nothing is nothing to compare with.
    static let leastAgreement = 0.25

    init?(_ initial: Parameters, beside optimizer: BoundOptimizer, _ images: [Int]) {
        let looked = Array(images.prefix(Self.imagesLookedAt)), classes = optimizer.activations.classes, samples = optimizer.samples
        let logits = optimizer.predictor.logits(looked.count, initial, Bounds()) { samples.load(looked[$0], into: $1) }
        optimizer.passes += Double(looked.count) / 3
        let found = predictedClasses(logits, classes: classes)
        (self.images, predictions) = (looked, Dictionary(uniqueKeysWithValues: zip(looked, found)))
        let agreed = zip(looked, found).filter { optimizer.activations.predictions[$0] == $1 }.count
        guard Double(agreed) >= Self.leastAgreement * Double(looked.count) else { return nil }
        trainer = Trainer(initial.network, kernels: optimizer.trainer.kernels, lanes: Trainer.serverLanes, threads: optimizer.threads)
        trainer.reset(initial)
        trainer.prepareForBounds()
    }
}
