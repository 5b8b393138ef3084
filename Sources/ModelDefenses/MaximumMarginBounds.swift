import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics

/// MM-BM: bounds on every hidden activation that keep the logits and are small. Minimises over z >= 0 (by projection)
///     MSE(f_z(x), f(x)) + c * sum over layers of ||z_l||_2
/// with Adam at rate 0.1 from z = 8. c starts at 0.5; five times in the course it is multiplied by 1.2 if the
/// share of images classified as labelled is at least 0.95, else divided by 1.2.
///
/// Both numbers are published for networks with norm layers. Here activations may reach far beyond 8, which cuts what no
/// fit brings back, so z starts at the channel's largest activation where that is more; and the penalty may outweigh
/// the logits until every bound is 0, so the fit is done over with c / 4, at most five times, while fewer than 0.95 of
/// the images that the unbounded model has right are right in the last fifth (or half of them in any).
///
/// Published: 50 epochs in batches of 200, c changed every 10 epochs. Below 10,000 images the budget is 7 epochs: batches
/// shrink (to 16 at the least) so that there are at least 250 steps, enough for Adam to take z from 8 to 0 three times,
/// and c still changes five times. The audit says what was used, and what the detection MM-BD makes of the model.
///
/// Source: Wang, Xiang, Miller and Kesidis, MM-BD, arXiv 2205.06900, section 3.3 and its public code.
public struct MaximumMarginBounds: ModelDefense {
    public static let name = "mm-bm"
    public var rate = 0.1, start: Float = 8, cost = 0.5, factor = 1.2, accuracy = 0.95
    /// Images from which on the published schedule runs.
    public var imagesOfPublished = 10_000

    public init() {}

    struct Schedule: Equatable {
        var epochs: Int, batch: Int, steps: Int
        /// Steps between two changes of c: a fifth of all.
        var period: Int { max(1, steps / 5) }
    }

    func schedule(_ images: Int) -> Schedule {
        let epochs = images >= imagesOfPublished ? 50 : 7
        let batch = min(200, max(16, epochs * images / 250))
        return Schedule(epochs: epochs, batch: batch, steps: max(20, epochs * images / batch))
    }

    func margins(_ images: Int, classes: Int) -> MarginImages.Schedule {
        .scaled(images, classes: classes, published: images >= imagesOfPublished ? MaximumMarginDetection.images : nil)
    }

    public func plannedPasses(_ images: Int) -> Double { passes(images, classes: 10) }

    private func passes(_ images: Int, classes: Int) -> Double {
        let plan = schedule(images)
        return Double(images) / 3 + Double(plan.steps * plan.batch) * 2 / 3 + margins(images, classes: classes).passes(classes: classes)
    }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let samples = context.synthetic, plan = schedule(samples.count), fit = Fit(self, model, context)
        var stream = RandomStream(seed: context.seed, purpose: "mm-bm batches", round: context.round)
        var first = cost, course = descend(fit, plan, first, &stream), images = course.images, attempts = 1
        while course.share < accuracy * fit.unbounded, attempts < Self.attempts {
            (first, attempts) = (first / 4, attempts + 1)
            course = descend(fit, plan, first, &stream)
            images += course.images
        }
        let z = Bounds(copying: fit.trainer.bounds), classes = model.network.classes, margins = margins(samples.count, classes: classes)
        let detection = fit.detection(margins, &stream)
        return DefenseOutcome(
            parameters: model, bounds: z,
            passes: passes(samples.count, classes: classes) + Double(images - plan.steps * plan.batch) * 2 / 3,
            audit: [
                Finding("epochs, batch, steps", "\(plan.epochs) \(plan.batch) \(plan.steps) (published: 50 epochs, batch 200)"),
                Finding("accuracy on FM images: unbounded, under bounds", "\(fixed(fit.unbounded, 3)) \(fixed(course.share, 3))"),
                Finding(
                    "cost at first, at the end, attempts",
                    "\(fixed(first, 4)) \(fixed(course.cost, 4)) \(attempts) (published: 0.5 at first)"),
            ] + detection.findings(margins)
                + model.network.layers.map { Finding("\($0.name): median bound", fixed(Double(quantile(0.5, z[$0])), 3)) })
    }

    static let attempts = 6

    /// One course of the fit: the share of images right in its last part, c at its end, and images gone through.
    private func descend(_ fit: Fit, _ plan: Schedule, _ first: Double, _ stream: inout RandomStream) -> (
        share: Double, cost: Double, images: Int
    ) {
        var cost = first, right = 0, seen = 0, share = 0.0
        fit.restart()
        for step in 1...plan.steps {
            let batch = (0..<plan.batch).map { _ in stream.index(below: fit.count) }
            right += fit.step(batch, cost, rate)
            seen += batch.count
            guard step % plan.period == 0 else { continue }
            share = Double(right) / Double(seen)
            if share < fit.unbounded / 2 { return (share, cost, step * plan.batch) }
            cost *= share >= accuracy ? factor : 1 / factor
            (right, seen) = (0, 0)
        }
        return (share, cost, plan.steps * plan.batch)
    }

    /// The descent of z.
    final class Fit {
        let trainer: Trainer
        private let samples: Samples
        private let logits: [Float], start: [Float]
        /// The unbounded model's accuracy on the FM images.
        let unbounded: Double
        private var adam: BoundAdam

        init(_ method: MaximumMarginBounds, _ model: Parameters, _ context: DefenseContext) {
            let samples = context.synthetic
            self.samples = samples
            adam = BoundAdam(model.network)
            let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
            let activations = Activations(model, samples, predictor)
            logits = activations.logits
            start = activations.quantiles(1, of: Array(0..<samples.count), threads: context.threads).map { max(method.start, $0) }
            unbounded =
                Double((0..<samples.count).filter { activations.predictions[$0] == samples.label($0) }.count) / Double(samples.count)
            trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
            trainer.reset(model)
            trainer.prepareForBounds()
        }

        var count: Int { samples.count }

        func restart() {
            adam = BoundAdam(trainer.network)
            for (i, z) in start.enumerated() { trainer.bounds.buffer.base[i] = z }
        }

        /// Returns how many images of the batch are classified as labelled, before the step.
        func step(_ batch: [Int], _ cost: Double, _ rate: Double) -> Int {
            let classes = trainer.network.classes, samples = samples, right = Flags(batch.count)
            trainer.sum.bounds.zero()
            logits.withUnsafeBufferPointer { buffer in
                guard let logits = buffer.baseAddress else { return }
                _ = trainer.boundGradient(
                    batch.count, load: { samples.load(batch[$0], into: $1) },
                    loss: { i, y, dy in
                        right[i] = Loss.prediction(y, classes: classes) == samples.label(batch[i])
                        return Loss.squaredError(y, target: logits + batch[i] * classes, classes: classes, batch: batch.count, gradient: dy)
                    })
            }
            let norms = norms()
            adam.step(trainer.bounds, trainer.sum.bounds, rate) { i in
                norms[i] > 0 ? cost * Double(trainer.bounds.buffer.base[i]) / norms[i] : 0
            }
            return right.count
        }

        /// MM-BD on the model, without bounds from then on.
        func detection(_ schedule: MarginImages.Schedule, _ stream: inout RandomStream) -> MaximumMarginDetection {
            let images = MarginImages(
                classes: trainer.network.classes, perClass: schedule.perClass, side: samples.set.height, samples.normalization)
            trainer.bounds.buffer.fill(.infinity)
            images.draw(&stream)
            images.ascend(trainer, steps: schedule.steps, rate: schedule.rate)
            return MaximumMarginDetection(images.largest(of: MaximumMarginDetection.images))
        }

        /// The norm of its layer's bounds, for each bound.
        private func norms() -> [Double] {
            let z = trainer.bounds.buffer.base
            return trainer.network.layers.flatMap { layer -> [Double] in
                let norm = trainer.network.bounds(of: layer).reduce(0) { $0 + Double(z[$1]) * Double(z[$1]) }.squareRoot()
                return [Double](repeating: norm, count: trainer.network.units(layer))
            }
        }
    }
}
