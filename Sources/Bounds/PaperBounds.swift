import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics
import Options

/// The paper's own defence, its Algorithm 1. Bounds z_k on the last layer of each stage, k in K, are drawn at random before round 1, and
/// lambda is 1. After the fusion of every round, which gave G:
///
/// 1. z takes `passes` passes of Adam at `rate` over the FM data, G fixed, down the gradient of
///        mean over images x of sum over classes c of (G_c(x; z) - G_c(x))^2  +  lambda * sum over k in K of ||z_k||_2,
///    projected to z >= 0.
/// 2. The drop is the accuracy of G on the FM data, by their own labels, poisoned ones included, less that of G bounded by z. Below
///    `allowedDrop` lambda is multiplied by `factor`, else divided by it.
/// 3. z and lambda go on to the next round. Clients get G without z.
///
/// z goes out once, with the last G. K is the last layer of each of ResNet-18's four stages; ClampNet's counterparts are conv2, conv4,
/// conv6
/// and fc1. The other layers stay unbounded.
///
/// What the text leaves open, and our choice; `BoundVariants` has the other readings, and the table `ablation` measures them:
/// * "random": uniform on [0, 1), every channel by itself;
/// * "iterations": passes over the FM data, as the group's earlier paper counts its local epochs;
/// * optimiser: Adam, whose moments start anew in every round;
/// * the sum over images: the mean of a batch. Both are those of MM-BM, whose objective this is.
///
/// Source: Bi and Li, arXiv 2410.17573 v3, Algorithm 1.
public struct PaperBounds: RoundDefense {
    public static let name = "bounds-paper"
    public static let leastImages = 2
    public static let handsOutBounds = true
    public internal(set) var label = Self.name
    /// Delta_pi: the accuracy that the bounds may cost, a fraction.
    public var allowedDrop: Double
    public var factor: Double, rate: Double, passes: Int
    public var batch = 64
    public var layers: [Layer] = [.conv2, .conv4, .conv6, .fc1]
    public var start = Start.uniform(1)
    public var optimiser = Optimiser.adam, reduction = Reduction.mean
    /// Whether a pass is one step on one batch.
    public var passesAreSteps = false
    /// Whether z is updated after the last round only.
    public var once = false

    public enum Start: Equatable, Sendable {
        /// On [0, this), in units of activations.
        case uniform(Double)
        /// On [0, 1), in units of the channel's largest activation on the FM data before round 1.
        case uniformOfMaxima
        /// At the channel's largest activation.
        case maxima
    }

    public enum Optimiser: Equatable, Sendable { case adam, sgd }
    /// Over the images of a batch, and over the classes.
    public enum Reduction: Equatable, Sendable { case mean, sum, meanOfClasses }

    public static let allowedDrop = Setting(
        "bounds-paper-drop", default: 0.1, in: .fraction, value: "fraction",
        help: "Accuracy on the labelled FM data that the bounds may cost.")
    public static let factor = Setting(
        "bounds-paper-factor", default: 1.1, in: .number(Interval(1, .infinity)), value: "factor",
        help: "Factor by which lambda rises or falls after each round.")
    public static let rate = Setting("bounds-paper-lr", default: 5e-4, in: .positive, value: "rate", help: "Learning rate of the bounds.")
    public static let passes = Setting(
        "bounds-paper-passes", default: 5, in: .count(from: 1), value: "n",
        help: "Passes over the FM data in each round.")
    public static let settings: [any AnySetting] = [allowedDrop, factor, rate, passes]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) {
        (allowedDrop, factor) = (settings[Self.allowedDrop], settings[Self.factor])
        (rate, passes) = (settings[Self.rate], settings[Self.passes])
    }

    public var knowsTheLastRound: Bool { once }

    /// Names of what is carried.
    private enum Key { static let bounds = "bounds", lambda = "lambda", drop = "drop", passes = "passes" }

    public func start(_ model: Parameters, _ context: DefenseContext) -> CarriedState {
        var z = Bounds(model.network).buffer.array.map(Double.init)
        var stream = RandomStream(seed: context.seed, purpose: "bounds-paper start")
        let maxima = start.needsMaxima ? Self.maxima(model, context) : []
        for i in bounded(model.network).flatMap(model.network.bounds(of:)) {
            switch start {
            case let .uniform(width): z[i] = width * stream.uniform()
            case .uniformOfMaxima: z[i] = maxima[i] * stream.uniform()
            case .maxima: z[i] = maxima[i]
            }
        }
        return CarriedState([Key.bounds: z.map { Double(Float($0)) }, Key.lambda: [1], Key.drop: [], Key.passes: [0]])
    }

    public func plannedPassesOfRound(_ images: Int) -> Double {
        let fitted = passesAreSteps ? passes * batch : passes * images
        return Double(fitted) * 2 / 3 + Double(images) * 2 / 3
    }

    public func update(_ carried: inout CarriedState, _ model: Parameters, _ context: DefenseContext) throws {
        guard !once || context.isLastRound else { return }
        try require(model, context.trusted)
        var stream = RandomStream(seed: context.seed, purpose: "bounds-paper order", round: context.round)
        let orders = (0..<passes).map { _ in stream.permutation(context.trusted.count) }
        update(&carried, model, context, orders: orders)
    }

    /// The update with the order of the images in each pass.
    func update(_ carried: inout CarriedState, _ model: Parameters, _ context: DefenseContext, orders: [[Int]]) {
        let samples = context.trusted, classes = model.network.classes, bounds = self.bounds(carried, model.network)
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        let plain = predictor.logits(samples.count, model, Bounds(model.network)) { samples.load($0, into: $1) }
        let lambda = carried[Key.lambda].last ?? 1
        let fitted = fit(model, context, from: bounds, to: plain, lambda: lambda, orders: orders)
        let bounded = predictor.logits(samples.count, model, fitted) { samples.load($0, into: $1) }
        func accuracy(_ logits: [Float]) -> Double {
            Double(Loss.predictions(logits, classes: classes).enumerated().count { samples.label($0) == $1 }) / Double(samples.count)
        }
        let drop = accuracy(plain) - accuracy(bounded)
        carried[Key.bounds] = fitted.buffer.array.map(Double.init)
        carried[Key.drop].append(drop)
        carried[Key.lambda].append(drop < allowedDrop ? lambda * factor : lambda / factor)
        carried[Key.passes] = [(carried[Key.passes].first ?? 0) + plannedPassesOfRound(samples.count)]
    }

    public func outcome(_ carried: CarriedState, _ model: Parameters) -> DefenseOutcome {
        func list(_ values: [Double]) -> String { values.map { fixed($0, 3) }.joined(separator: " ") }
        let bounds = bounds(carried, model.network)
        return DefenseOutcome(
            parameters: model, bounds: bounds, passes: carried[Key.passes].first ?? 0,
            audit: [
                Finding("lambda before round 1 and after each update", list(carried[Key.lambda])),
                Finding(
                    "accuracy lost on the FM data, by their labels, after each update (allowed \(fixed(allowedDrop, 2)))",
                    list(carried[Key.drop])),
            ]
                + bounded(model.network).map { layer in
                    Finding(
                        "\(layer.name): bounds, median and largest",
                        "\(fixed(Double(quantile(0.5, bounds[layer])), 3)) \(fixed(Double(bounds[layer].max() ?? 0), 3))")
                })
    }

    private func bounds(_ carried: CarriedState, _ network: ClampNet) -> Bounds {
        let bounds = Bounds(network)
        for (i, z) in carried[Key.bounds].enumerated() where i < bounds.buffer.count { bounds.buffer.base[i] = Float(z) }
        return bounds
    }

    /// K, of a network.
    private func bounded(_ network: ClampNet) -> [Layer] { network.layers.filter(layers.contains) }

    /// Step 1 of the algorithm. `plain`: (FM images, classes), logits of the unbounded model.
    private func fit(
        _ model: Parameters, _ context: DefenseContext, from start: Bounds, to plain: [Float], lambda: Double, orders: [[Int]]
    ) -> Bounds {
        let trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        trainer.reset(model, bounds: start)
        trainer.prepareForBounds()
        let samples = context.trusted
        var adam = BoundAdam(model.network)
        for order in orders {
            for first in stride(from: 0, to: passesAreSteps ? min(1, order.count) : order.count, by: batch) {
                let images = order[first..<min(first + batch, order.count)]
                step(trainer, &adam, on: images, of: samples, to: plain, lambda: lambda)
            }
        }
        return Bounds(copying: trainer.bounds)
    }

    private func step(
        _ trainer: Trainer, _ adam: inout BoundAdam, on images: ArraySlice<Int>, of samples: Samples, to plain: [Float], lambda: Double
    ) {
        let classes = trainer.network.classes, first = images.startIndex
        let scale = reduction.scale(images: images.count, classes: classes)
        trainer.sum.bounds.zero()
        plain.withUnsafeBufferPointer { buffer in
            guard let targets = buffer.baseAddress else { return }
            _ = trainer.boundGradient(
                images.count, load: { i, x in samples.load(images[first + i], into: x) },
                loss: { i, y, dy in
                    Loss.squaredDifference(y, target: targets + images[first + i] * classes, classes: classes, scale: scale, gradient: dy)
                })
        }
        let penalty = slopes(of: trainer.bounds, lambda)
        switch optimiser {
        case .adam: adam.step(trainer.bounds, trainer.sum.bounds, rate) { penalty[$0] }
        case .sgd:
            let z = trainer.bounds.buffer.base
            for i in penalty.indices { z[i] = Float(max(0, Double(z[i]) - rate * (Double(trainer.sum.bounds.base[i]) + penalty[i]))) }
        }
    }

    /// d/dz of lambda * sum over K of ||z_k||_2; 0 for a layer whose bounds are all 0.
    private func slopes(of bounds: Bounds, _ lambda: Double) -> [Double] {
        var slopes = [Double](repeating: 0, count: bounds.buffer.count)
        for layer in bounded(bounds.network) {
            let z = bounds[layer].map(Double.init), norm = z.reduce(0) { $0 + $1 * $1 }.squareRoot()
            for (i, value) in zip(bounds.network.bounds(of: layer), z) where norm > 0 { slopes[i] = lambda * value / norm }
        }
        return slopes
    }

    /// Largest activation of each channel over the FM data, without bounds.
    private static func maxima(_ model: Parameters, _ context: DefenseContext) -> [Double] {
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        let activations = Activations(model, context.trusted, predictor)
        return activations.quantiles(1, of: Array(0..<activations.count), threads: context.threads).map(Double.init)
    }
}

extension PaperBounds.Start {
    var needsMaxima: Bool { if case .uniform = self { false } else { true } }
}

extension PaperBounds.Reduction {
    /// What an image's squared difference of one class counts in a batch's loss.
    func scale(images: Int, classes: Int) -> Double {
        switch self {
        case .mean: 1 / Double(images)
        case .sum: 1
        case .meanOfClasses: 1 / Double(images * classes)
        }
    }
}
