import Network
import Options

/// Layer-wise poisoning, the LP attack: the client sends the model that it would have sent without poison, but for the layers that
/// the backdoor needs, which come from the poisoned model. Most of the update is an honest one, so that rules by distance see little.
///
/// Both models are trained from G on the same images in the same order. The backdoor's success is measured on every fourth of the
/// client's images, with the whole trigger, the target's own left out. A layer is one tensor, weights and biases apart, as in
/// the authors' program. Forward: each layer of the poisoned model is replaced by the benign one, alone; the drop of the success
/// ranks the layers. Backward: in this order layers of the benign model are replaced by poisoned ones, until the success is `threshold`
/// times the poisoned model's (0.95 in the paper). Critical layers are sent as G + lambda (poisoned - G) + max(0, 1 - lambda)
/// (benign - G), all others as the benign model has them; lambda is 1 in the paper, and 0.5 for small
/// networks in the authors' program.
///
/// The paper's colluders put the mean of their benign models in the place of the benign one; here it is the client's own, so that a
/// client can be trained by itself (`step local`). Where the attacker knows the rule, the paper also lowers the number of layers until
/// the update passes; that is not done here. In ClampNet the layers found hold most parameters (conv5, conv6 and fc1: 0.88 of them), so
/// that less of the update is honest than in the paper's deep networks.
///
/// Source: Zhuang, Yu, Wang and Hua, "Backdoor federated learning by poisoning backdoor-critical layers", ICLR 2024, arXiv 2308.04466.
public struct LayerwisePoisoning: MaliciousBehavior {
    public static let threshold = Setting<Double?>(
        "lp-attack", default: nil, in: .fractionAboveZero, value: "fraction",
        help: "Malicious clients poison only the layers that keep this fraction of the backdoor's success; 0.95 is usual.")
    public static let scale = Setting(
        "lp-scale", default: 1.0, in: .positive, value: "lambda",
        help: "With lp-attack, factor of the poisoned layers' updates.")
    public static let settings: [any AnySetting] = [threshold, scale]
    /// Of the client's images one in so many measures the backdoor: the quarter that the authors' program keeps for it.
    static let measured = 4

    let threshold: Double, scale: Double
    private let context: AttackContext

    public init?(_ settings: Settings, _ context: AttackContext) {
        guard let threshold = settings[Self.threshold] else { return nil }
        self.init(threshold: threshold, scale: settings[Self.scale], context)
    }

    init(threshold: Double, scale: Double = 1, _ context: AttackContext) {
        (self.threshold, self.scale, self.context) = (threshold, scale, context)
    }

    public func beforeUpload(_ model: Parameters, _ samples: Samples, honest: () -> Parameters) {
        let benign = honest(), poisoned = Parameters(copying: model), critical = criticalLayers(poisoned, benign, samples)
        for (layer, tensor) in model.network.tensors.enumerated() {
            for k in tensor.offset..<tensor.offset + tensor.count {
                model.base[k] = critical[layer] ? sent(poisoned.base[k], benign.base[k], context.global.base[k]) : benign.base[k]
            }
        }
    }

    /// A parameter of a critical layer as it is sent, in double.
    private func sent(_ poisoned: Float, _ benign: Float, _ global: Float) -> Float {
        let g = Double(global)
        return Float(g + scale * (Double(poisoned) - g) + max(0, 1 - scale) * (Double(benign) - g))
    }

    /// For each of the network's tensors, whether the backdoor needs it. None where no image shows how well it works.
    func criticalLayers(_ poisoned: Parameters, _ benign: Parameters, _ samples: Samples) -> [Bool] {
        let network = poisoned.network, victims = Self.victims(samples), bounds = Bounds(network), mixed = Parameters(network)
        let predictor = Predictor(network, kernels: context.kernels, threads: 1)
        return Self.choose(network.tensors.count, threshold) { isPoisoned in
            for (layer, tensor) in network.tensors.enumerated() {
                let source = isPoisoned[layer] ? poisoned : benign
                (mixed.base + tensor.offset).update(from: source.base + tensor.offset, count: tensor.count)
            }
            let logits = predictor.logits(victims.count, mixed, bounds) { victims.load($0, into: $1) }
            let found = Loss.predictions(logits, classes: network.classes)
            return Double(found.indices.count { found[$0] == victims.label($0) }) / Double(max(1, victims.count))
        }
    }

    /// Every fourth image, triggered, those aside that the backdoor leaves in their class.
    static func victims(_ samples: Samples) -> Samples {
        guard let backdoor = samples.backdoor else { return samples.subset([]) }
        let all = samples.subset(Array(stride(from: 0, to: samples.count, by: measured))).triggered(backdoor)
        return all.subset((0..<all.count).filter { all.label($0) != all.trueLabel($0) })
    }

    /// The layers that keep `threshold` of the success that all poisoned ones have; `success` says what a model comes to whose
    /// layers are poisoned where its argument says so. Among equal drops the first layer comes first.
    static func choose(_ layers: Int, _ threshold: Double, success: ([Bool]) -> Double) -> [Bool] {
        let all = [Bool](repeating: true, count: layers), best = success(all)
        let left = all.indices.map { layer in
            var poisoned = all
            poisoned[layer] = false
            return success(poisoned)
        }
        var chosen = [Bool](repeating: false, count: layers), now = 0.0
        for layer in all.indices.sorted(by: { left[$0] != left[$1] ? left[$0] < left[$1] : $0 < $1 }) where now < threshold * best {
            chosen[layer] = true
            now = success(chosen)
        }
        return chosen
    }
}
