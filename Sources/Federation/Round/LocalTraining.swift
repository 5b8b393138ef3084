import Attacks
import Datasets
import KernelTable
import Network
import Tensor

/// What one client did in a round.
public struct LocalResult: Sendable {
    public var update: Parameters
    /// Mean loss over all its steps.
    public var loss: Double
    /// The trigger's pattern where the client adapted it, (channels, side, side).
    public var pattern: [Float]?
}

/// A client's local training: `localEpochs` of SGD with momentum from G, in an order of its own for every round and
/// epoch, colour images flipped with probability 0.5. The result depends on the seed, the round and the client only.
/// Malicious clients train with epochs and rate of their own if they have any, and as `behaviors` say.
public func localTraining(
    _ configuration: RunConfiguration, _ samples: Samples, from global: Parameters,
    round: Int, client: Int, trainer: Trainer, behaviors: [any MaliciousBehavior] = []
) -> LocalResult {
    let special = behaviors.compactMap { $0.trainingBounds(samples) }.first, none = Bounds(global.network)
    trainer.reset(global, bounds: special)
    var order = RandomStream(seed: configuration.seed, purpose: "local order", round: round, client: client)
    var flips = RandomStream(seed: configuration.seed, purpose: "flips", round: round, client: client)
    let sgd = configuration.sgd(configuration.learningRate(of: client)), batch = configuration.batch
    var sum = 0.0, steps = 0
    for _ in 0..<configuration.epochs(of: client, images: samples.count, inRound: round) {
        let positions = order.permutation(samples.count)
        let flipped = positions.map { _ in samples.set.channels == 3 && flips.uniform() < 0.5 }
        sum += epoch(
            trainer, sgd, batch: batch, over: positions, of: samples, flipped: flipped,
            loss: { label, _, batch, logits, gradient in
                Loss.crossEntropy(logits, classes: samples.set.classes, label: label, batch: batch, gradient: gradient)
            },
            afterStep: { model in
                for behavior in behaviors { behavior.afterStep(model) }
                steps += 1
                if let special { trainer.bounds.buffer.copy(from: steps % 2 == 0 ? special.buffer : none.buffer) }
            })
    }
    let update = Parameters(copying: trainer.parameters)
    for behavior in behaviors {
        behavior.beforeUpload(update, samples) {
            localTraining(configuration, samples.unpoisoned, from: global, round: round, client: client, trainer: trainer).update
        }
    }
    return LocalResult(update: update, loss: sum / Double(max(1, steps)))
}

/// One pass over `positions` in batches; returns the sum of the batches' mean losses. `flipped` says for each position whether its image
/// is; nil: none is. `loss` gets the label, the position in the samples, the batch size, and the logits and their gradient; `afterStep`
/// may change the model.
func epoch(
    _ trainer: Trainer, _ sgd: SGD, batch: Int, over positions: [Int], of samples: Samples, flipped: [Bool]? = nil,
    loss: (Int, Int, Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Double,
    afterStep: (Parameters) -> Void = { _ in }
) -> Double {
    var sum = 0.0, first = 0
    while first < positions.count {
        let n = min(batch, positions.count - first), start = first
        sum += trainer.step(
            n, sgd,
            load: { i, x in
                samples.load(positions[start + i], flip: flipped?[start + i] ?? false, into: x)
            },
            loss: { i, logits, gradient in
                let position = positions[start + i]
                return loss(samples.label(position), position, n, logits, gradient)
            })
        afterStep(trainer.parameters)
        first += n
    }
    return sum
}
