import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics

/// MMAC: bounds on every hidden activation that keep the logits of FM images and take the margins away that images made to
/// have wide ones (`MarginImages`, on the unbounded model) still have. Minimises over z >= 0 (by projection)
///     MSE(f_z(x), f(x)) + 200 c * mean over margin images of the margin of f_z
/// with Adam at rate 0.1 from z = 1, x being the FM images that the model classifies as labelled. c starts at 0.002 (the
/// public code sums over batches of 200: hence the factor). Of thirty parts of the course, after each from the fourth to the
/// last but one, c is multiplied by 1.2 if the share of images classified as labelled is at least 0.95, else divided by 1.2.
///
/// Published for 500 images: 300 epochs, that is 900 steps of 200 images and 200 margin images, of which 50 a class are
/// made anew every 100 epochs in 300 steps of 0.01. Used from 10,000 images on. Below, steps, batches and margin images are
/// in proportion to the FM images (at 2,000 a quarter of the published steps and batches), at least 150 steps of 16, and one set of margin
/// images
/// takes 75 steps of 0.04. The audit says what was used, and what MM-BD makes of the first margin images.
///
/// Source: Wang, Xiang, Miller and Kesidis, arXiv 2308.04617 (improved activation clipping), and its public code.
public struct MaximumMarginClipping: ModelDefense {
    public static let name = "mmac"
    public var rate = 0.1, start: Float = 1, cost = 0.002, factor = 1.2, accuracy = 0.95
    /// Images from which on the published schedule runs.
    public var imagesOfPublished = 10_000

    public init() {}

    struct Schedule: Equatable {
        var steps: Int, batch: Int, sets: Int, margins: MarginImages.Schedule

        func passes(_ images: Int, classes: Int) -> Double {
            Double(images) / 3 + Double(steps * 2 * batch) * 2 / 3 + Double(sets) * margins.passes(classes: classes)
        }
    }

    func schedule(_ images: Int, classes: Int) -> Schedule {
        let published = images >= imagesOfPublished
        return Schedule(
            steps: published ? 900 : min(900, max(150, 225 * images / 2000)), batch: min(200, max(16, images / 40)),
            sets: published ? 3 : 1, margins: .scaled(images, classes: classes, published: published ? 50 : nil))
    }

    public func plannedPasses(_ images: Int) -> Double { schedule(images, classes: 10).passes(images, classes: 10) }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let samples = context.synthetic, classes = model.network.classes, plan = schedule(samples.count, classes: classes)
        let fit = Fit(self, model, context, plan)
        guard !fit.kept.isEmpty else {
            throw DefenseError.syntheticData(
                "\(Self.name) needs FM images that the model classifies as labelled, got 0 of \(samples.count)")
        }
        var stream = RandomStream(seed: context.seed, purpose: "mmac", round: context.round)
        var cost = cost, right = 0, seen = 0, share = 0.0, detection: MaximumMarginDetection?
        let period = max(1, plan.steps / 30)
        for step in 0..<plan.steps {
            if step % (plan.steps / plan.sets) == 0, step / (plan.steps / plan.sets) < plan.sets {
                fit.makeMarginImages(&stream, plan.margins)
                detection = detection ?? MaximumMarginDetection(fit.margins.largest(of: MaximumMarginDetection.images))
            }
            fit.draw(&stream)
            right += fit.step(cost, rate)
            seen += plan.batch
            guard (step + 1) % period == 0 else { continue }
            share = Double(right) / Double(seen)
            if (4..<30).contains((step + 1) / period) { cost *= share >= accuracy ? factor : 1 / factor }
            (right, seen) = (0, 0)
        }
        let z = fit.trainer.bounds
        return DefenseOutcome(
            parameters: model, bounds: Bounds(copying: z), passes: plan.passes(samples.count, classes: classes),
            audit: [
                Finding(
                    "steps, batch, sets of margin images, of a class",
                    "\(plan.steps) \(plan.batch) \(plan.sets) \(plan.margins.perClass) (published: 900 200 3 50)"),
                Finding(
                    "FM images classified as labelled: before, share at the end",
                    "\(fit.kept.count) of \(samples.count), \(fixed(share, 3))"),
                Finding("mean margin of the margin images: unbounded, bounded", "\(fixed(fit.marginBefore, 2)) \(fixed(fit.marginNow, 2))"),
                Finding("cost at the end", fixed(cost, 5)),
            ] + (detection?.findings(plan.margins) ?? [])
                + model.network.layers.map { Finding("\($0.name): median bound", fixed(Double(quantile(0.5, z[$0])), 3)) })
    }

    /// The descent of z. All memory is taken when it is made.
    final class Fit {
        let trainer: Trainer, margins: MarginImages
        /// Positions of the FM images that the model classifies as labelled.
        let kept: [Int]
        /// Positions in the FM data, and numbers of margin images, of the next step.
        var batch: [Int], picks: [Int]
        /// Mean margin of the margin images when they were made, and of the last step's.
        private(set) var marginBefore = 0.0, marginNow = 0.0
        private let samples: Samples, logits: [Float], right: Flags
        private let values: UnsafeMutableBufferPointer<Float>
        private var adam: BoundAdam

        init(_ method: MaximumMarginClipping, _ model: Parameters, _ context: DefenseContext, _ plan: Schedule) {
            let samples = context.synthetic, classes = model.network.classes
            let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
            let logits = predictor.logits(samples.count, model, Bounds(model.network)) { samples.load($0, into: $1) }
            kept = logits.withUnsafeBufferPointer { buffer in
                (0..<samples.count).filter { i in
                    buffer.baseAddress.map { Loss.prediction($0 + i * classes, classes: classes) } == samples.label(i)
                }
            }
            (self.samples, self.logits) = (samples, logits)
            adam = BoundAdam(model.network)
            margins = MarginImages(classes: classes, perClass: plan.margins.perClass, side: samples.set.height, samples.normalization)
            trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
            trainer.reset(model)
            trainer.prepareForBounds()
            trainer.bounds.buffer.fill(method.start)
            (batch, picks) = ([Int](repeating: 0, count: plan.batch), [Int](repeating: 0, count: plan.batch))
            right = Flags(plan.batch)
            values = .allocate(capacity: plan.batch)
            values.initialize(repeating: 0)
        }

        deinit { values.deallocate() }

        /// New margin images, of the unbounded model.
        func makeMarginImages(_ stream: inout RandomStream, _ schedule: MarginImages.Schedule) {
            let bounds = Bounds(copying: trainer.bounds)
            trainer.bounds.buffer.fill(.infinity)
            margins.draw(&stream)
            margins.ascend(trainer, steps: schedule.steps, rate: schedule.rate)
            trainer.bounds.buffer.copy(from: bounds.buffer)
            marginBefore = margins.margins.values.reduce(0) { $0 + Double($1) } / Double(margins.count)
        }

        func draw(_ stream: inout RandomStream) {
            for i in batch.indices { batch[i] = kept[stream.index(below: kept.count)] }
            for i in picks.indices { picks[i] = stream.index(below: margins.count) }
        }

        /// One step; returns how many images of the batch are classified as labelled, before it.
        func step(_ cost: Double, _ rate: Double) -> Int {
            let classes = trainer.network.classes, n = batch.count
            trainer.sum.bounds.zero()
            logits.withUnsafeBufferPointer { buffer in
                guard let logits = buffer.baseAddress else { return }
                _ = trainer.boundGradient(
                    n + picks.count,
                    load: { i, x in
                        i < n ? samples.load(batch[i], into: x) : margins.load(picks[i - n], into: x)
                    },
                    loss: { i, y, dy in
                        guard i < n else {
                            let weight = 200 * cost / Double(picks.count)
                            values[i - n] = Loss.margin(y, of: margins.label(picks[i - n]), classes: classes, weight: weight, gradient: dy)
                            return 0
                        }
                        right[i] = Loss.prediction(y, classes: classes) == samples.label(batch[i])
                        return Loss.squaredError(y, target: logits + batch[i] * classes, classes: classes, batch: n, gradient: dy)
                    })
            }
            adam.step(trainer.bounds, trainer.sum.bounds, rate)
            marginNow = values.reduce(0) { $0 + Double($1) } / Double(picks.count)
            return right.count
        }
    }
}

extension MarginImages.Schedule {
    /// As published with `published` images a class; else a tenth of the FM images, at least 4 a class and at most 50, in a
    /// quarter of the steps, four times as long.
    static func scaled(_ images: Int, classes: Int, published: Int?) -> Self {
        published.map { .init(perClass: $0, steps: 300, rate: 0.01) }
            ?? .init(perClass: min(50, max(4, images / 10 / classes)), steps: 75, rate: 0.04)
    }
}
