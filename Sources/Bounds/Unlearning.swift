import Attacks
import Datasets
import DefenseInterface
import Detection
import Network
import Numerics

/// Unlearning of what was found: triggers that `Screen` and `TriggerSearch` found are laid on images of all classes, and the
/// parameters are trained to predict there what the model predicts without them. 100 steps of SGD minimise
///       KL(softmax f(x) || softmax g(x))         on 64 FM images kept
///     + KL(softmax f(x) || softmax g(x + t))     on 16 of them under a trigger t that was found, and
///       KL(softmax f(x - t) || softmax g(x))     on 16 suspects that leave their class when t is taken off
/// where f is the model as it came and g the one that learns; each line is a mean over its images. Labels are not used: they may be
/// poisoned. Where nothing looks attacked, nothing is trained.
///
/// Source: Wang et al., Neural Cleanse (IEEE S&P 2019), section VI.C, "patching DNN via unlearning": there on real images with
/// their labels, a fifth of them under one reversed trigger.
public struct Unlearning: ModelDefense {
    public static let name = "unlearning"
    public var steps = 100
    public var keptInBatch = 64, underTriggersInBatch = 16, suspectsInBatch = 16
    public var sgd = SGD(rate: 0.003, momentum: 0.9, decay: 5e-4, clip: 5)

    public init() {}

    public func plannedPasses(_ images: Int) -> Double { Evidence.plannedPasses(images) + plannedPassesOfTraining }

    var plannedPassesOfTraining: Double { Double(steps * (keptInBatch + underTriggersInBatch + suspectsInBatch)) }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        let evidence = try BoundFit().examine(model, context)
        let untouched = DefenseOutcome(
            parameters: model, bounds: Bounds(model.network), passes: evidence.passes, audit: evidence.audit,
            suspects: evidence.audited)
        return try train(untouched, evidence, context)
    }

    /// The outcome with its parameters trained, under its bounds, away from what was found.
    func train(_ start: DefenseOutcome, _ evidence: Evidence, _ context: DefenseContext) throws -> DefenseOutcome {
        let triggers = evidence.triggers, witnesses = evidence.witnesses, kept = evidence.kept
        guard !triggers.isEmpty else { return start }
        let lesson = Lesson(start, plain: evidence.activations.logits, witnesses: witnesses, triggers: triggers, context)
        var stream = RandomStream(seed: context.seed, purpose: "unlearning", round: context.round)
        let suspects = witnesses.isEmpty ? 0 : suspectsInBatch
        let agreed = (0..<steps).map { _ in
            lesson.step(
                sgd, kept: (0..<keptInBatch).map { _ in kept[stream.index(below: kept.count)] },
                under: (0..<underTriggersInBatch).map { _ in
                    (image: kept[stream.index(below: kept.count)], overlay: triggers[stream.index(below: triggers.count)].overlay)
                },
                suspects: (0..<suspects).map { _ in stream.index(below: witnesses.count) }
            ).agreed
        }
        guard lesson.trainer.parameters.allFinite else {
            throw DefenseError.model("\(Self.name) diverged: NaN or infinite parameters after \(steps) steps at rate \(sgd.rate)")
        }
        func share(_ steps: ArraySlice<Int>) -> String { fixed(Double(steps.reduce(0, +)) / Double(steps.count * underTriggersInBatch), 3) }
        var outcome = start
        outcome.parameters = Parameters(copying: lesson.trainer.parameters)
        outcome.passes += Double(steps * (keptInBatch + underTriggersInBatch + suspects)) + Double(witnesses.count) / 3
        outcome.audit.append(
            Finding(
                "predictions kept under what was found, first and last ten steps",
                "\(share(agreed.prefix(10))) \(share(agreed.suffix(10)))"))
        return outcome
    }

    /// One training: its trainer, and what the model as it came says of the FM images.
    struct Lesson {
        let trainer: Trainer
        private let samples: Samples, range: PixelRange, classes: Int
        /// (FM images, classes)
        private let plain: [Float]
        /// FM images, and (their number, classes): with their class's pattern taken off.
        private let suspects: [Int], cured: [Float]

        /// - Parameters:
        ///   - start: the parameters and bounds that training starts with.
        ///   - plain: (FM images, classes), logits of the unbounded model.
        init(
            _ start: DefenseOutcome, plain: [Float], witnesses: [(image: Int, target: Int)], triggers: [(target: Int, overlay: Overlay)],
            _ context: DefenseContext
        ) {
            let model = start.parameters, samples = context.synthetic, range = PixelRange(samples),
                ofClass = Dictionary(triggers.map { ($0.target, $0.overlay) }) { first, _ in first }
            (self.samples, self.range, self.plain, classes) = (samples, range, plain, model.network.classes)
            suspects = witnesses.map(\.image)
            cured = Predictor(model.network, kernels: context.kernels, threads: context.threads).logits(
                witnesses.count, model, Bounds(model.network)
            ) { i, x in
                samples.load(witnesses[i].image, into: x)
                if let overlay = ofClass[witnesses[i].target] { range.takeOff(overlay, from: x) }
            }
            trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
            trainer.reset(model, bounds: start.bounds)
        }

        /// One step of SGD; `suspects` are numbers of witnesses. Returns the loss before it, and on how many images under a pattern
        /// the prediction was the one without.
        func step(_ sgd: SGD, kept: [Int], under: [(image: Int, overlay: Overlay)], suspects: [Int]) -> (loss: Double, agreed: Int) {
            let keptEnd = kept.count, underEnd = keptEnd + under.count, patterned = under.count + suspects.count,
                agreements = Flags(under.count)
            let loss = trainer.step(
                underEnd + suspects.count, sgd,
                load: { i, x in
                    if i < keptEnd {
                        samples.load(kept[i], into: x)
                    } else if i < underEnd {
                        samples.load(under[i - keptEnd].image, into: x)
                        range.lay(under[i - keptEnd].overlay, on: x)
                    } else {
                        samples.load(self.suspects[suspects[i - underEnd]], into: x)
                    }
                },
                loss: { i, y, dy in
                    func divergence(from teachers: [Float], row: Int, images: Int) -> Double {
                        Loss.divergence(y, from: teachers, row: row, classes: classes, images: images, gradient: dy)
                    }
                    if i < keptEnd { return divergence(from: plain, row: kept[i], images: kept.count) }
                    if i >= underEnd { return divergence(from: cured, row: suspects[i - underEnd], images: patterned) }
                    let image = under[i - keptEnd].image
                    agreements[i - keptEnd] =
                        Loss.prediction(y, classes: classes)
                        == plain.withUnsafeBufferPointer { logits in
                            logits.baseAddress.map { Loss.prediction($0 + image * classes, classes: classes) }
                        }
                    return divergence(from: plain, row: image, images: patterned)
                })
            return (loss, agreements.count)
        }
    }
}

/// Bounds, and unlearning under them: `BoundFit`, then `Unlearning` of what it found, the network being bounded. Suspects that stay in
/// their class under the bounds are left to unlearning, which costs less accuracy than pressing them out.
public struct BoundedUnlearning: ModelDefense {
    public static let name = "bounds-unlearning"
    public var fit = BoundFit(), unlearning = Unlearning()

    public init() { fit.settings.stayed = 1 }

    public func plannedPasses(_ images: Int) -> Double { fit.plannedPasses(images) + unlearning.plannedPassesOfTraining }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        let evidence = try fit.examine(model, context)
        return try unlearning.train(fit.fitted(evidence, model, context), evidence, context)
    }
}
