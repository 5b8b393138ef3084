import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// ABL: poisoned images are learned first. A model that is trained anew on the FM data, and held where its losses are near
/// gamma, has the lowest losses on them; these images are isolated and the finished model unlearns what they teach.
///
/// 1. Isolation: SGD on sign(l - gamma) l, where l is the mean cross-entropy of a batch with the labels that the server holds: the mean
///    stays near gamma, and what is easy goes far below it. A share of the images, those with the lowest cross-entropy at the end, is
///    isolated; equals go by position.
/// 2. Unlearning: SGD on the finished model, on the mean cross-entropy of a batch of other images minus that of a batch of isolated
///    ones (of all, where they are fewer), until these are no better than guessed, log K for K classes: farther up there is no end, and
///    without norm layers the model goes along.
///
/// Published: gamma 0.5, a share of 1 %, 20 epochs of isolation and 20 of unlearning in batches of 64, momentum 0.9, decay 1e-4,
/// rates 0.1 and 5e-4. There the model of step 1 goes on: 60 epochs on the other images, and it is the one that unlearns. Here
/// the finished model is, which has learned already. Rate 0.1 is for networks with norm layers; without, 0.02 is what
/// trains here (`initial-lr`). Gradients are clipped at norm 5, as in `FineTuning`.
///
/// Source: Li, Lyu, Koren, Lyu, Li and Ma, NeurIPS 2021, arXiv 2110.11571, equations 2 to 4, and its public code (which
/// takes the sign of a batch, where equation 2 has that of an image, and ascends without descending).
public struct AntiBackdoorLearning: ModelDefense {
    public static let name = "abl"
    public static let leastImages = 2
    /// Isolated images, a share of all.
    public var share: Double
    /// The loss that local gradient ascent holds images at.
    public var gamma: Double
    /// Passes over the FM images of the new model, and at most over the others of the finished one.
    public var epochs: Int, unlearningEpochs: Int
    /// Images of a step.
    public var batch = 64
    public var isolation = SGD(rate: 0.02, momentum: 0.9, decay: 1e-4, clip: 5)
    public var unlearning = SGD(rate: 5e-4, momentum: 0.9, decay: 1e-4, clip: 5)

    public static let share = Setting(
        "abl-share", default: 0.01, in: .properFraction, value: "fraction", help: "Isolated fraction of the FM images.")
    public static let gamma = Setting(
        "abl-gamma", default: 0.5, in: .notNegative, value: "loss", help: "Mean loss of a batch below which it is climbed away from.")
    public static let epochs = Setting(
        "abl-epochs", default: 20, in: .count(from: 1), value: "n", help: "Epochs of the model that isolates.")
    public static let unlearningEpochs = Setting(
        "abl-unlearning-epochs", default: 20, in: .count(from: 0), value: "n", help: "Most epochs of unlearning.")
    public static let settings: [any AnySetting] = [share, gamma, epochs, unlearningEpochs]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) {
        (share, gamma) = (settings[Self.share], settings[Self.gamma])
        (epochs, unlearningEpochs) = (settings[Self.epochs], settings[Self.unlearningEpochs])
    }

    /// Images that are isolated of so many: one at least, and one at least is left.
    func isolated(of images: Int) -> Int { min(images - 1, max(1, Int(share * Double(images)))) }

    public func plannedPasses(_ images: Int) -> Double {
        let isolated = isolated(of: max(2, images)), others = images - isolated
        let together = others + (others + batch - 1) / batch * min(batch, isolated)
        return Double(epochs * images) + Double(images) / 3 + Double(unlearningEpochs * together)
    }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let samples = context.trusted, losses = try isolationLosses(model.network, samples, context)
        let (isolated, others) = split(losses)
        func mean(_ positions: [Int]) -> Double { positions.reduce(0) { $0 + losses[$1] } / Double(positions.count) }
        let (unlearnt, course) = try unlearn(model, samples, isolated: isolated, others: others, context)
        func shown(_ loss: (others: Double, isolated: Double)?) -> String {
            loss.map { "\(fixed($0.others, 3)) \(fixed($0.isolated, 3))" } ?? "none"
        }
        return DefenseOutcome(
            parameters: unlearnt, bounds: Bounds(model.network),
            passes: Double(epochs * samples.count) + Double(samples.count) / 3
                + Double(course.count * (min(batch, others.count) + min(batch, isolated.count))),
            audit: [
                Finding("FM images isolated", "\(isolated.count) of \(samples.count)"),
                Finding("their classes", Self.classes(isolated, samples)),
                Finding("loss in the new model: isolated, others", "\(fixed(mean(isolated), 3)) \(fixed(mean(others), 3))"),
                Finding("steps of unlearning", "\(course.count)"),
                Finding("loss before the first step: others, isolated", shown(course.first)),
                Finding("loss before the last step: others, isolated", shown(course.last)),
            ], suspects: isolated.map { context.positionsOfTrusted[$0] }.sorted())
    }

    /// "0: 17, 3: 2": labels of these images and how many have each.
    private static func classes(_ positions: [Int], _ samples: Samples) -> String {
        let counts = Dictionary(grouping: positions, by: samples.label).mapValues(\.count)
        return counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
    }

    /// Positions with the lowest losses, lowest first, and all others, ascending.
    func split(_ losses: [Double]) -> (isolated: [Int], others: [Int]) {
        let order = losses.indices.sorted { (losses[$0], $0) < (losses[$1], $1) }, count = isolated(of: losses.count)
        return (Array(order.prefix(count)), order.dropFirst(count).sorted())
    }

    /// Each image's cross-entropy in a model trained anew with local gradient ascent.
    private func isolationLosses(_ network: ClampNet, _ samples: Samples, _ context: DefenseContext) throws -> [Double] {
        let start = Parameters(network),
            trainer = Trainer(network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        var weights = RandomStream(seed: context.seed, purpose: "abl weights", round: context.round)
        var order = RandomStream(seed: context.seed, purpose: "abl order", round: context.round)
        start.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &weights)
        trainer.reset(start)
        for _ in 0..<epochs {
            let positions = order.permutation(samples.count)
            for first in stride(from: 0, to: positions.count, by: batch) {
                _ = ascentStep(trainer, samples, positions[first..<min(first + batch, positions.count)])
            }
        }
        guard trainer.parameters.allFinite else {
            throw DefenseError.model("\(Self.name) diverged: NaN or infinite parameters of the new model after \(epochs) epochs")
        }
        let logits = Predictor(network, kernels: context.kernels, threads: context.threads).logits(
            samples.count, trainer.parameters, Bounds(network)
        ) { samples.load($0, into: $1) }
        var unused = [Float](repeating: 0, count: network.classes)
        return logits.withUnsafeBufferPointer { buffer in
            (0..<samples.count).map { i in
                buffer.baseAddress.map {
                    Loss.crossEntropy(
                        $0 + i * network.classes, classes: network.classes, label: samples.label(i), batch: 1, gradient: &unused)
                } ?? 0
            }
        }
    }

    /// One step of local gradient ascent on these positions. Returns their mean loss before it.
    func ascentStep(_ trainer: Trainer, _ samples: Samples, _ positions: ArraySlice<Int>) -> Double {
        let n = positions.count, first = positions.startIndex, classes = trainer.network.classes
        let loss = trainer.gradient(
            n, load: { i, x in samples.load(positions[first + i], into: x) },
            loss: { i, y, dy in
                Loss.crossEntropy(y, classes: classes, label: samples.label(positions[first + i]), batch: n, gradient: dy)
            })
        if loss < gamma {
            let g = trainer.sum.parameters.base
            for i in 0..<trainer.parameters.count { g[i] = -g[i] }
        }
        trainer.descend(isolation)
        return loss
    }

    /// The finished model after unlearning, and the mean losses of others and isolated images before each step.
    private func unlearn(
        _ model: Parameters, _ samples: Samples, isolated: [Int], others: [Int], _ context: DefenseContext
    ) throws -> (model: Parameters, course: [(others: Double, isolated: Double)]) {
        let trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        var order = RandomStream(seed: context.seed, purpose: "abl unlearning", round: context.round)
        trainer.reset(model)
        let guessed = Mathematics.log(Double(model.network.classes))
        var course: [(others: Double, isolated: Double)] = []
        for _ in 0..<unlearningEpochs {
            let positions = order.permutation(others.count).map { others[$0] }
            for first in stride(from: 0, to: positions.count, by: batch) where course.last?.isolated ?? 0 < guessed {
                let climbed = order.permutation(isolated.count).prefix(batch).map { isolated[$0] }
                course.append(unlearningStep(trainer, samples, Array(positions[first..<min(first + batch, positions.count)]), climbed))
            }
        }
        guard trainer.parameters.allFinite else {
            throw DefenseError.model("\(Self.name) diverged: NaN or infinite parameters after \(unlearningEpochs) epochs of unlearning")
        }
        return (Parameters(copying: trainer.parameters), course)
    }

    /// One step down the mean loss of `others` and up that of `isolated`. Returns both, before it.
    func unlearningStep(
        _ trainer: Trainer, _ samples: Samples, _ others: [Int], _ isolated: [Int]
    ) -> (others: Double, isolated: Double) {
        let classes = trainer.network.classes, n = others.count, losses = Slots([Double](repeating: 0, count: n + isolated.count))
        trainer.step(
            losses.count, unlearning, load: { i, x in samples.load(i < n ? others[i] : isolated[i - n], into: x) },
            loss: { i, y, dy in
                let position = i < n ? others[i] : isolated[i - n]
                losses[i] = Loss.crossEntropy(
                    y, classes: classes, label: samples.label(position), batch: i < n ? n : isolated.count, gradient: dy)
                guard i >= n else { return losses[i] }
                for k in 0..<classes { dy[k] = -dy[k] }
                return -losses[i]
            })
        return ((0..<n).reduce(0) { $0 + losses[$1] }, (n..<losses.count).reduce(0) { $0 + losses[$1] })
    }
}
