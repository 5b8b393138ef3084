import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// Neural Cleanse: for each class the smallest trigger is sought that takes FM images of all classes into it. The class of a
/// backdoor needs a far smaller one than the others; it stands out, and its trigger is unlearned.
///
/// 1. `TriggerReversal` finds each class a mask and a pattern.
/// 2. With n_k the L1 norm of class k's mask, class k stands out where n_k is below the median and
///        |n_k - median| / (1.4826 median |n - median|) > 2     (the anomaly index).
/// 3. `FineTuning` on the FM images under the labels that the server holds, a fifth of them stamped with the trigger of a class that
///    stands out (drawn, where there are several): 1 epoch. Where no class stands out, the model stays.
///
/// Source: Wang, Yao, Shan, Li, Viswanath, Zheng and Zhao, IEEE S&P 2019, sections IV and VI, and its public code. There clean real
/// images are used, of which the server has none here.
public struct NeuralCleanse: ModelDefense {
    public static let name = "neural-cleanse"
    public static let leastImages = 2
    var reversal: TriggerReversal.Schedule
    /// Anomaly index above which a class stands out.
    public var index: Double
    /// Stamped share of the images of unlearning.
    public var stamped = 0.2
    public var tuning = FineTuning()
    /// Of the median deviation of a normal distribution, to be its standard deviation.
    static let consistency = 1.4826

    public static let steps = Setting(
        "neural-cleanse-steps", default: 100, in: .count(from: 1), value: "n", help: "Steps of the search for each class's trigger.")
    public static let index = Setting(
        "neural-cleanse-index", default: 2.0, in: .notNegative, value: "index", help: "Anomaly index above which a class stands out.")
    public static let epochs = Setting(
        "neural-cleanse-epochs", default: 1, in: .count(from: 0), value: "n", help: "Epochs of unlearning.")
    public static let settings: [any AnySetting] = [steps, index, epochs]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) {
        (reversal, index) = (TriggerReversal.Schedule(steps: settings[Self.steps]), settings[Self.index])
        tuning.epochs = settings[Self.epochs]
    }

    public func plannedPasses(_ images: Int) -> Double { reversal.passes(classes: 10) + tuning.plannedPasses(images) }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let samples = context.trusted, found = reversed(model, samples, context)
        let norms = found.map(\.trigger.norm), outliers = outliers(norms), passes = found.reduce(0) { $0 + $1.passes }
        var outcome = DefenseOutcome(
            parameters: model, bounds: Bounds(model.network), passes: passes, audit: findings(found, outliers))
        guard !outliers.isEmpty, tuning.epochs > 0 else { return outcome }
        let (tuned, losses) = try unlearn(model, samples, outliers.map { found[$0.label].trigger }, context)
        outcome.parameters = tuned
        outcome.passes += tuning.plannedPasses(samples.count)
        outcome.audit.append(
            Finding(
                "loss in the first and the last epoch of unlearning",
                "\(fixed(losses.first ?? .nan, 3)) \(fixed(losses.last ?? .nan, 3))"))
        return outcome
    }

    /// Of each class; as many at once as there are threads.
    private func reversed(_ model: Parameters, _ samples: Samples, _ context: DefenseContext) -> [TriggerReversal.Found] {
        let classes = model.network.classes
        let trainers = (0..<max(1, min(context.threads, classes))).map { _ in
            let trainer = Trainer(model.network, kernels: context.kernels)
            trainer.reset(model)
            trainer.prepareForBounds()
            return trainer
        }
        return parallelMap(classes, threads: trainers.count) { label, worker in
            var stream = RandomStream(seed: context.seed, purpose: "neural-cleanse", round: context.round, client: label)
            return TriggerReversal(samples, label, reversal, &stream).run(trainers[worker], &stream)
        }
    }

    /// The classes that stand out, the smallest norm first, with their anomaly index.
    func outliers(_ norms: [Double]) -> [(label: Int, index: Double)] {
        let middle = median(norms), deviation = Self.consistency * median(norms.map { abs($0 - middle) })
        guard deviation > 0 else { return [] }
        return norms.indices.filter { norms[$0] < middle && (middle - norms[$0]) / deviation > index }
            .sorted { (norms[$0], $0) < (norms[$1], $1) }.map { ($0, (middle - norms[$0]) / deviation) }
    }

    private func findings(_ found: [TriggerReversal.Found], _ outliers: [(label: Int, index: Double)]) -> [Finding] {
        let names = outliers.map { "\($0.label) (index \(fixed($0.index, 2)))" }.joined(separator: ", ")
        var audit = [
            Finding("classes that stand out", outliers.isEmpty ? "none: the model stays" : names),
            Finding("median of the masks' norms, pixels", fixed(median(found.map(\.trigger.norm)), 2)),
            Finding(
                "steps, batches in a step, images in a batch",
                "\(reversal.steps) \(reversal.batches) \(reversal.batch) (published: 1000 31 32)"),
        ]
        if found.count <= 20 {
            audit.append(Finding("norms of the masks per class", found.map { fixed($0.trigger.norm, 1) }.joined(separator: " ")))
            audit.append(Finding("share of images taken, per class", found.map { fixed($0.share, 2) }.joined(separator: " ")))
        }
        return audit
    }

    /// The model after fine-tuning with stamped images, and the mean loss of each epoch.
    private func unlearn(
        _ model: Parameters, _ samples: Samples, _ triggers: [TriggerReversal.Trigger], _ context: DefenseContext
    ) throws -> (model: Parameters, losses: [Double]) {
        var stream = RandomStream(seed: context.seed, purpose: "neural-cleanse stamps", round: context.round)
        var stamps = [Int?](repeating: nil, count: samples.count)
        for position in stream.permutation(samples.count).prefix(Int(stamped * Double(samples.count))) {
            stamps[position] = stream.index(below: triggers.count)
        }
        return try tuning.train(model, context, on: samples) { position, x in
            samples.withPixels(position) { pixels in
                if let trigger = stamps[position] { triggers[trigger].stamp(pixels) }
                samples.normalization.write(pixels, side: samples.set.height, to: x)
            }
        }
    }
}
