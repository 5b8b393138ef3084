import Attacks
import Datasets
import Network

/// MM-BM: bounds on every hidden activation that keep the logits and are small. Minimises over z >= 0 (by projection)
///     MSE(f_z(x), f(x)) + c * sum over layers of ||z_l||_2
/// with Adam at rate 0.1 from z = 8. c starts at 0.5; five times in the course it is multiplied by 1.2 if the
/// share of images classified as labelled is at least 0.95, else divided by 1.2. Both are published for a network with norm
/// layers: where activations reach far beyond 8 the start costs accuracy that no fit brings back, and where logits are small
/// the penalty can outweigh them.
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
        try require(50, model, context.synthetic)
        let samples = context.synthetic, plan = schedule(samples.count), fit = Fit(self, model, context)
        var stream = RandomStream(seed: context.seed, purpose: "mm-bm batches", round: context.round)
        var cost = cost, right = 0, seen = 0, share = 0.0
        for step in 1...plan.steps {
            let batch = (0..<plan.batch).map { _ in stream.index(below: samples.count) }
            right += fit.step(batch, cost, rate)
            seen += batch.count
            guard step % plan.period == 0 else { continue }
            share = Double(right) / Double(seen)
            cost *= share >= accuracy ? factor : 1 / factor
            (right, seen) = (0, 0)
        }
        let z = Bounds(copying: fit.trainer.bounds), classes = model.network.classes, margins = margins(samples.count, classes: classes)
        let detection = fit.detection(margins, &stream)
        return DefenseOutcome(parameters: model, bounds: z, passes: passes(samples.count, classes: classes), audit: [
            Finding("epochs, batch, steps", "\(plan.epochs) \(plan.batch) \(plan.steps) (published: 50 epochs, batch 200)"),
            Finding("accuracy on FM images under bounds", fixed(share, 3)), Finding("cost at the end", fixed(cost, 3)),
        ] + detection.findings(margins) + Layer.allCases.map { Finding("\($0.name): median bound", fixed(Double(quantile(0.5, z[$0])), 3)) })
    }

    /// The descent of z.
    private final class Fit {
        let trainer: Trainer
        private let samples: Samples
        private let logits: [Float]
        private var adam = BoundAdam()

        init(_ method: MaximumMarginBounds, _ model: Parameters, _ context: DefenseContext) {
            let samples = context.synthetic
            self.samples = samples
            let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
            logits = predictor.logits(samples.count, model, Bounds()) { samples.load($0, into: $1) }
            trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
            trainer.reset(model)
            trainer.prepareForBounds()
            trainer.bounds.buffer.fill(method.start)
        }

        /// Returns how many images of the batch are classified as labelled, before the step.
        func step(_ batch: [Int], _ cost: Double, _ rate: Double) -> Int {
            let classes = trainer.network.classes, samples = samples, right = Flags(batch.count)
            trainer.sum.bounds.zero()
            logits.withUnsafeBufferPointer { buffer in
                guard let logits = buffer.baseAddress else { return }
                _ = trainer.boundGradient(batch.count, load: { samples.load(batch[$0], into: $1) }, loss: { i, y, dy in
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
            let images = MarginImages(classes: trainer.network.classes, perClass: schedule.perClass, side: samples.set.height, samples.normalization)
            trainer.bounds.buffer.fill(.infinity)
            images.draw(&stream)
            images.ascend(trainer, steps: schedule.steps, rate: schedule.rate)
            return MaximumMarginDetection(images.largest(of: MaximumMarginDetection.images))
        }

        /// The norm of its layer's bounds, for each of the 576.
        private func norms() -> [Double] {
            let z = trainer.bounds.buffer.base
            return Layer.allCases.flatMap { layer -> [Double] in
                let norm = layer.bounds.reduce(0) { $0 + Double(z[$1]) * Double(z[$1]) }.squareRoot()
                return [Double](repeating: norm, count: layer.channels)
            }
        }
    }
}
