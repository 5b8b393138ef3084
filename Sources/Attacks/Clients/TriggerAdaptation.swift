import Datasets
import KernelTable
import Network
import Options
import Tensor

/// A3FL: malicious clients adapt the trigger's pattern to the global model in every round, before they train.
///
/// The pattern d minimises, over the client's images x without poison, under the mask,
///
///     CE(G(x + d), target) + lambda CE(G'(x + d), target),     lambda = 0.01 cos(G', G)
///
/// by steps of 0.01 along the gradient's sign, one for each batch of 64 images, kept in [0, 1]. G' is what a federation would come to that
/// unlearns the trigger: G, trained 5 epochs on images with the trigger and their true labels (SGD 0.01, momentum 0.9, decay 5e-4). It is
/// made anew before each tenth pass but the first; until then d is adapted to G alone, as in the authors' program. The cosine is that of all
/// parameters, as in the paper; the program takes gradients that were left over.
///
/// Malicious clients collude: after a round they share the mean of their patterns, from which each goes on in the next round, and with which
/// the attack is measured. The authors have one attacker, whose pattern goes from client to client; a mean can be computed by clients that
/// train side by side, or in processes of their own (`step local`). The authors make G' anew before every pass, which costs five epochs each
/// time; every tenth pass keeps it to a few trainings.
///
/// Source: Zhang, Jia, Chen, Lin and Wu, "A3FL: Adversarially adaptive backdoor attacks to federated learning", NeurIPS 2023.
public struct TriggerAdaptation: Sendable {
    public static let passes = Setting<Int?>(
        "trigger-adaptation", default: nil, in: .count(from: 1), value: "n",
        help: """
            A3FL: malicious clients adapt the trigger's pattern to the global model in every round, in n passes over their images, \
            such as 20.
            """)

    static let rate: Float = 0.01, batch = 64, lambda = 0.01
    static let renewal = 10, epochs = 5, sgd = SGD(rate: 0.01, momentum: 0.9, decay: 5e-4)

    let passes: Int

    /// Memory that a client takes for it: two trainers with workspaces of their own.
    public static func bytes(_ network: ClampNet) -> Int { 2 * (Trainer.bytes(network) + Workspace.bytes(network, backward: true)) }

    public init?(_ settings: Settings) {
        guard let passes = settings[Self.passes] else { return nil }
        self.passes = passes
    }

    /// Passes over a client's images; those of the pattern do without gradients of weights and cost two thirds.
    public var plannedPasses: Double {
        let renewals = (passes - 1) / Self.renewal, hardened = max(0, passes - Self.renewal)
        return Double(passes + hardened) * 2 / 3 + Double(renewals * Self.epochs)
    }

    /// `samples` with the pattern that is adapted to `global`.
    ///
    /// - Parameters:
    ///   - samples: a malicious client's, with a backdoor that `isAdaptable`.
    ///   - stream: order of the images.
    public func adapted(_ samples: Samples, to global: Parameters, _ kernels: KernelTable, using stream: inout RandomStream) -> Samples {
        guard let backdoor = samples.backdoor, backdoor.isAdaptable, samples.count > 0 else { return samples }
        let search = PatternSearch(samples.unpoisoned, backdoor, global, kernels)
        for pass in 0..<passes {
            if pass > 0, pass % Self.renewal == 0 { search.harden(epochs: Self.epochs, Self.sgd, Self.batch, using: &stream) }
            let order = stream.permutation(samples.count)
            for first in stride(from: 0, to: order.count, by: Self.batch) {
                search.descend(Array(order[first..<min(first + Self.batch, order.count)]))
            }
        }
        return samples.carrying(backdoor.adapted(search.pattern))
    }
}

/// The pattern on its way, with the models that it is adapted to.
final class PatternSearch {
    private let samples: Samples, relabeling: Relabeling
    private let global: Trainer, hardened: Trainer
    /// lambda times the cosine; nil before there is a hardened model.
    private(set) var weight: Double?
    private let mask: [Float]
    private(set) var pattern: [Float]
    /// (batch, channels, side, side): gradients of the loss on stamped pixels.
    private let gradients: FloatBuffer

    /// - Parameter samples: without poison.
    init(_ samples: Samples, _ backdoor: Backdoor, _ model: Parameters, _ kernels: KernelTable) {
        (self.samples, relabeling) = (samples, backdoor.relabeling)
        (mask, pattern) = backdoor.trigger.overlay ?? ([], [])
        (global, hardened) = (Trainer(model.network, kernels: kernels), Trainer(model.network, kernels: kernels))
        gradients = FloatBuffer(TriggerAdaptation.batch * pattern.count)
        global.reset(model)
        global.prepareForBounds()
    }

    private var stamped: Samples {
        samples.triggered(Backdoor(trigger: AdaptedTrigger(mask: mask, pattern: pattern), relabeling: relabeling))
    }

    /// Makes the hardened model anew, of the present pattern.
    func harden(epochs: Int, _ sgd: SGD, _ batch: Int, using stream: inout RandomStream) {
        let stamped = stamped, classes = samples.set.classes
        hardened.reset(global.parameters)
        for _ in 0..<epochs {
            let order = stream.permutation(samples.count)
            for first in stride(from: 0, to: order.count, by: batch) {
                let n = min(batch, order.count - first)
                hardened.step(
                    n, sgd, load: { i, x in stamped.load(order[first + i], into: x) },
                    loss: { i, y, dy in
                        Loss.crossEntropy(y, classes: classes, label: stamped.trueLabel(order[first + i]), batch: n, gradient: dy)
                    })
            }
        }
        hardened.prepareForBounds()
        weight = TriggerAdaptation.lambda * cosine(hardened.parameters, global.parameters)
    }

    /// One step along the sign of the gradient; where it is 0 the pixel stays.
    func descend(_ positions: [Int]) {
        for (k, g) in gradient(positions).enumerated() where g != 0 {
            pattern[k] = min(max(pattern[k] - (g > 0 ? TriggerAdaptation.rate : -TriggerAdaptation.rate), 0), 1)
        }
    }

    /// Of the loss with respect to the pattern, (channels, side, side), in double, summed over the images in order.
    func gradient(_ positions: [Int]) -> [Double] {
        var sum = [Double](repeating: 0, count: pattern.count)
        add(global, 1, positions, to: &sum)
        if let weight { add(hardened, weight, positions, to: &sum) }
        return sum
    }

    private func add(_ trainer: Trainer, _ factor: Double, _ positions: [Int], to sum: inout [Double]) {
        let stamped = stamped, classes = samples.set.classes, floats = pattern.count
        trainer.sum.bounds.zero()
        _ = trainer.boundGradient(
            positions.count, load: { i, x in stamped.load(positions[i], into: x) },
            loss: { i, y, dy in
                Loss.crossEntropy(y, classes: classes, label: stamped.label(positions[i]), batch: positions.count, gradient: dy)
            }, image: { i, gradient in self.samples.pixels(ofInputGradient: gradient, into: self.gradients.base + i * floats) })
        for i in positions.indices {
            for k in 0..<floats { sum[k] += factor * Double(gradients.base[i * floats + k]) * Double(mask[k % mask.count]) }
        }
    }
}

/// Of two models as vectors of all parameters, in double.
func cosine(_ a: Parameters, _ b: Parameters) -> Double {
    var product = 0.0, squaresOfA = 0.0, squaresOfB = 0.0
    for tensor in a.network.tensors {
        for k in tensor.offset..<tensor.offset + tensor.count {
            let x = Double(a.base[k]), y = Double(b.base[k])
            product += x * y
            squaresOfA += x * x
            squaresOfB += y * y
        }
    }
    let norms = (squaresOfA * squaresOfB).squareRoot()
    return norms > 0 ? product / norms : 0
}
