import Attacks
import Datasets
import Defenses
import KernelTable
import Network
import Tensor

/// What the server trains with: its own trainers (fixed lanes, any number of threads) and predictors, one for each shape of network.
public final class Server: @unchecked Sendable {
    let trainers: Trainers
    private let predictors: Predictors
    public let kernels: KernelTable
    public let threads: Int
    /// One for each thread.
    private let workspaces: [SharedWorkspace]

    public init(kernels: KernelTable, threads: Int) {
        self.kernels = kernels
        self.threads = threads
        workspaces = (0..<max(1, threads)).map { _ in SharedWorkspace(kernels: kernels) }
        trainers = Trainers(kernels: kernels, lanes: Trainer.serverLanes, in: workspaces)
        predictors = Predictors(kernels: kernels, in: workspaces)
    }

    /// What a client trains with on each of so many threads, while the server waits.
    func clientTrainers(_ count: Int) -> [Trainers] {
        workspaces.prefix(max(1, count)).map { Trainers(kernels: kernels, in: [$0]) }
    }

    public func predictor(_ network: ClampNet) -> Predictor { predictors[network] }

    /// He-normal parameters from the seed, then prototype initialisation: cross-entropy on the FM data. `look` sees the model after each
    /// epoch.
    /// - Parameter shown: (images, classes), probabilities that take the labels' place; nil for the labels.
    public func initialize(
        _ configuration: RunConfiguration, _ synthetic: Samples, network: ClampNet, shown: [Float]? = nil,
        look: (_ epoch: Int, _ model: Parameters) throws -> Void = { _, _ in }
    ) throws -> Parameters {
        guard synthetic.count > 0 else { return initialWeights(configuration, network) }
        let trainer = trainers[network]
        trainer.reset(initialWeights(configuration, network))
        var order = RandomStream(seed: configuration.seed, purpose: "initialisation order")
        let sgd = configuration.sgd(configuration.initialRate), batch = configuration.batch
        let classes = synthetic.set.classes
        for number in 0..<configuration.initialEpochs {
            let order = order.permutation(synthetic.count)
            withRows(shown) { shown in
                _ = epoch(trainer, sgd, batch: batch, over: order, of: synthetic) { label, position, batch, logits, gradient in
                    guard let shown else {
                        return Loss.crossEntropy(logits, classes: classes, label: label, batch: batch, gradient: gradient)
                    }
                    return Loss.crossEntropy(
                        logits, classes: classes, probabilities: shown + position * classes, batch: batch, gradient: gradient)
                }
            }
            try look(number + 1, trainer.parameters)
        }
        return Parameters(copying: trainer.parameters)
    }

    /// He-normal parameters from the seed.
    public func initialWeights(_ configuration: RunConfiguration, _ network: ClampNet) -> Parameters {
        let start = Parameters(network)
        var stream = RandomStream(seed: configuration.seed, purpose: "initial weights")
        start.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        return start
    }

    /// Fusion: trains `aggregate` (or the last global model, with `FederatedDistillation`) on the FM data by ensemble distillation
    /// (FedDF), the teacher being the weighted mean
    /// of the logits of the models that the rule let through, plus `labelWeight` of cross-entropy with the labels.
    /// - Parameter shown: (images, classes), probabilities that take the labels' place; nil for the labels. Where they have 0 for the
    ///   label, it is wrong, and teachers are not heard about it.
    public func fuse(
        _ configuration: RunConfiguration, _ aggregate: Parameters, _ teacherLogits: [Float], _ synthetic: Samples,
        round: Int, shown: [Float]? = nil
    ) -> Parameters {
        let training = configuration.serverTraining
        guard training.epochs > 0 else { return aggregate }
        let classes = synthetic.set.classes, trainer = trainers[aggregate.network]
        trainer.reset(aggregate)
        var order = RandomStream(seed: configuration.seed, purpose: "fusion order", round: round)
        let batch = configuration.batch, temperature = configuration.temperature, labelWeight = configuration.labelWeight
        withRows(silenced(teacherLogits, synthetic, shown)) { said in
            guard let said else { return }
            withRows(shown) { shown in
                for number in 0..<training.epochs {
                    let sgd = configuration.sgd(training.rate(number))
                    _ = epoch(trainer, sgd, batch: batch, over: order.permutation(synthetic.count), of: synthetic) {
                        label, position, batch, logits, gradient in
                        Loss.distillation(
                            logits, teacher: said + position * classes, classes: classes, label: label,
                            probabilities: shown.map { $0 + position * classes }, temperature: temperature, labelWeight: labelWeight,
                            batch: batch, gradient: gradient)
                    }
                }
            }
        }
        return Parameters(copying: trainer.parameters)
    }

    /// The logits, with none for labels that are wrong by `shown`.
    private func silenced(_ logits: [Float], _ synthetic: Samples, _ shown: [Float]?) -> [Float] {
        guard let shown else { return logits }
        var logits = logits
        for image in 0..<synthetic.count {
            let place = image * synthetic.set.classes + synthetic.label(image)
            if shown[place] == 0 { logits[place] = Self.silence }
        }
        return logits
    }

    /// A logit without probability at any temperature. It is finite, so that no product with it is NaN.
    private static let silence: Float = -1e18

    /// Calls `body` with the first of the rows' numbers, or with nil where there are none.
    private func withRows<T>(_ rows: [Float]?, _ body: (UnsafePointer<Float>?) throws -> T) rethrows -> T {
        guard let rows else { return try body(nil) }
        return try rows.withUnsafeBufferPointer { try body($0.baseAddress) }
    }

    /// Accuracy on `clean`, attack success and robust accuracy under `backdoor`, means over its targets; NaN for the latter two without one.
    public func evaluate(_ parameters: Parameters, _ bounds: Bounds, _ clean: Samples, _ backdoor: Backdoor?) -> Evaluation {
        let right = predictions(parameters, bounds, clean).enumerated().filter { clean.trueLabel($0) == $1 }.count
        var result = Evaluation(
            accuracy: Double(right) / Double(max(1, clean.count)), attackSuccess: .nan, robustAccuracy: .nan,
            images: clean.count, triggeredImages: 0)
        guard let backdoor else { return result }
        let rates = backdoor.each.map { attack(parameters, bounds, clean, $0) }, goals = Double(rates.count)
        result.triggeredImages = rates.reduce(0) { $0 + $1.images }
        result.attackSuccess = rates.reduce(0) { $0 + $1.success } / goals
        result.robustAccuracy = rates.reduce(0) { $0 + $1.robust } / goals
        return result
    }

    /// Of a backdoor with one target.
    private func attack(_ parameters: Parameters, _ bounds: Bounds, _ clean: Samples, _ backdoor: Backdoor) -> (
        images: Int, success: Double, robust: Double
    ) {
        let victims = clean.subset(
            (0..<clean.count).filter {
                backdoor.relabeling.label(clean.trueLabel($0), classes: clean.set.classes) != clean.trueLabel($0)
            }
        ).triggered(backdoor)
        let found = predictions(parameters, bounds, victims)
        let hits = found.enumerated().filter { victims.label($0) == $1 }.count
        let robust = found.enumerated().filter { victims.trueLabel($0) == $1 }.count
        return (victims.count, Double(hits) / Double(victims.count), Double(robust) / Double(victims.count))
    }

    /// Means over models of what `evaluate` measures of each, with weights that sum to 1.
    func evaluate(_ models: [BoundedModel], _ weights: [Double], _ clean: Samples, _ backdoor: Backdoor?) -> Evaluation {
        let each = models.map { evaluate($0.parameters, $0.bounds, clean, backdoor) }
        guard each.count > 1 else { return each[0] }
        func mean(_ rate: (Evaluation) -> Double) -> Double { zip(weights, each).reduce(0) { $0 + $1.0 * rate($1.1) } }
        return Evaluation(
            accuracy: mean(\.accuracy), attackSuccess: mean(\.attackSuccess), robustAccuracy: mean(\.robustAccuracy),
            images: each[0].images, triggeredImages: each[0].triggeredImages)
    }

    /// Predicted classes of all samples.
    public func predictions(_ parameters: Parameters, _ bounds: Bounds, _ samples: Samples) -> [Int] {
        let classes = samples.set.classes
        let logits = predictors[parameters.network].logits(samples.count, parameters, bounds) { samples.load($0, into: $1) }
        return logits.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return [] }
            return (0..<samples.count).map { Loss.prediction(base + $0 * classes, classes: classes) }
        }
    }
}
