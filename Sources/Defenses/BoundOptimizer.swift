import Attacks
import Datasets
import Network
import Tensor

/// Adam on the relative bounds r = z / z0 in [0, 1]. Both fits of bounds use it.
final class BoundOptimizer {
    private let samples: Samples
    private let activations: Activations
    private let start: [Float]
    private let trainer: Trainer
    private var relative = [Double](repeating: 1, count: Layer.totalBounds)
    private var first = [Double](repeating: 0, count: Layer.totalBounds), second = [Double](repeating: 0, count: Layer.totalBounds)
    private var stepsDone = 0
    private var stream: RandomStream

    var bounds: Bounds { Bounds(copying: trainer.bounds) }

    init(_ model: Parameters, _ samples: Samples, _ activations: Activations, start: [Float], _ context: DefenseContext) {
        self.samples = samples
        self.activations = activations
        self.start = start
        trainer = Trainer(model.network, kernels: context.kernels, lanes: Trainer.serverLanes, threads: context.threads)
        stream = RandomStream(seed: context.seed, purpose: "bound fit", round: context.round)
        trainer.reset(model)
        trainer.prepareForBounds()
        writeBounds()
    }

    /// Returns the agreement on kept images over the last ten steps.
    func run(_ fit: BoundFit, kept: [Int], suspects: [(image: Int, target: Int)], steps: Int) -> Double {
        let fromSuspects = suspects.isEmpty ? 0 : fit.suspectsInBatch
        var pressure = suspects.isEmpty ? 0.1 : 0, agreed = 0, seen = 0, lastAgreement = 1.0
        for step in 1...steps {
            let plain = (0..<fit.batch - fromSuspects).map { _ in kept[stream.index(below: kept.count)] }
            let evidence = (0..<fromSuspects).map { _ in suspects[stream.index(below: suspects.count)] }
            agreed += gradient(plain, evidence, fit.evidenceWeight)
            seen += plain.count
            adam(fit.rate * (1 - Double(step - 1) / Double(steps)), pressure)
            if step % 10 == 0 {
                lastAgreement = Double(agreed) / Double(seen)
                pressure *= lastAgreement >= fit.agreement ? 1.3 : 1 / 1.3
                (agreed, seen) = (0, 0)
            }
        }
        return lastAgreement
    }

    /// Leaves the gradient of one batch in the trainer; returns on how many plain images the predictions agree.
    private func gradient(_ plain: [Int], _ evidence: [(image: Int, target: Int)], _ evidenceWeight: Double) -> Int {
        let classes = activations.classes, agreements = Flags(plain.count)
        trainer.sum.bounds.zero()
        activations.logits.withUnsafeBufferPointer { buffer in
            guard let logits = buffer.baseAddress else { return }
            _ = trainer.boundGradient(plain.count + evidence.count, load: { i, x in
                samples.load(i < plain.count ? plain[i] : evidence[i - plain.count].image, into: x)
            }, loss: { i, y, dy in
                guard i < plain.count else {
                    return margin(y, evidence[i - plain.count].target, classes, evidenceWeight / Double(evidence.count), dy)
                }
                agreements[i] = Loss.prediction(y, classes: classes) == activations.predictions[plain[i]]
                return Loss.distillation(y, teacher: logits + plain[i] * classes, classes: classes, label: 0, temperature: 1,
                                         labelWeight: 0, batch: plain.count, gradient: dy)
            })
        }
        return agreements.count
    }

    /// `weight` times relu(margin of `target` + 0.5), the margin being the logit minus the largest other one.
    private func margin(_ y: UnsafePointer<Float>, _ target: Int, _ classes: Int, _ weight: Double, _ dy: UnsafeMutablePointer<Float>) -> Double {
        var rival = target == 0 ? 1 : 0
        for k in 0..<classes where k != target && y[k] > y[rival] { rival = k }
        for k in 0..<classes { dy[k] = 0 }
        let value = Double(y[target]) - Double(y[rival]) + 0.5
        guard value > 0 else { return 0 }
        dy[target] = Float(weight)
        dy[rival] = -Float(weight)
        return value * weight
    }

    /// One step on r: gradient dL/dz * z0 + c / 576; beta 0.9 and 0.999.
    private func adam(_ rate: Double, _ pressure: Double) {
        stepsDone += 1
        var power1 = 1.0, power2 = 1.0
        for _ in 0..<stepsDone { power1 *= 0.9; power2 *= 0.999 }
        for i in relative.indices {
            let g = Double(trainer.sum.bounds.base[i]) * Double(start[i]) + pressure / Double(Layer.totalBounds)
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            let move = rate * (first[i] / (1 - power1)) / ((second[i] / (1 - power2)).squareRoot() + 1e-8)
            relative[i] = min(1, max(0, relative[i] - move))
        }
        writeBounds()
    }

    private func writeBounds() {
        for i in relative.indices { trainer.bounds.buffer.base[i] = Float(relative[i]) * start[i] }
    }
}

/// Flags set by any thread, each index by one.
final class Flags: @unchecked Sendable {
    private let flags: UnsafeMutablePointer<Bool>
    private let size: Int

    init(_ size: Int) {
        self.size = size
        flags = .allocate(capacity: max(1, size))
        flags.initialize(repeating: false, count: max(1, size))
    }

    deinit { flags.deallocate() }

    subscript(_ i: Int) -> Bool {
        get { flags[i] }
        set { flags[i] = newValue }
    }

    var count: Int { (0..<size).filter { flags[$0] }.count }
}
