import Attacks
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// FLAIN: inputs of the first dense layer that clean images leave quiet are where a backdoor comes in. What the rounds have
/// learned on their weights is turned round.
///
/// An input's activity is its mean over the FM images. With w0 the model before round 1 and w the finished one, the weights of
/// fc1 that read an input whose activity is at most t become
///     w0 - (w - w0)
/// and t rises until accuracy on the FM data (their labels as the server holds them) is `drop` or more below what it was; the
/// last rise stays. Then fc1's weights are scaled to the norm that they had.
///
/// Published, t rises from 0.0005 in steps of 0.0001 up to 1, and `drop` is 0.01 unless a data set has its own (Fashion-MNIST
/// 0.024, CIFAR-10 0.001). Without norm layers activations have no such scale: here t takes the inputs' activities in turn,
/// which is the same with steps as small as can be and no end but all inputs.
///
/// Source: Ding, Yang and Huang, ICMR 2025, arXiv 2408.08655, and its public code (which takes auxiliary images from the
/// evaluation set, and untrained weights for w0).
public struct FlippedUpdates: ModelDefense {
    public static let name = "flain"
    public static let leastImages = 2
    public static let needsInitial = true
    /// Accuracy that it may cost, a fraction.
    public var drop: Double

    public static let drop = Setting(
        "flain-drop", default: 0.01, in: .fractionAboveZero, value: "fraction",
        help: "Loss of accuracy on the FM data that ends the flipping.")
    public static let settings: [any AnySetting] = [drop]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) { drop = settings[Self.drop] }

    public func plannedPasses(_ images: Int) -> Double { Double(images) / 3 }

    /// Bytes that it takes for so many FM images: their inputs of fc1, and its sums.
    public static func bytes(images: Int) -> Int { images * (4 * ClampNet.flattened + 8 * 2 * ClampNet.hidden) }

    /// Throws `DefenseError.model` where the model before round 1 is not known or is another network.
    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        guard let initial = context.initial, initial.network == model.network, initial.allFinite else {
            throw DefenseError.model(
                "\(Self.name) needs the model before round 1, of the same network, and there is none here: a run keeps it with --initial-epochs 1 or more"
            )
        }
        let walk = Walk(initial, model, context.trusted, context), states = walk.flip(until: drop)
        let flipped = Array(walk.order.prefix(states.last?.flipped ?? 0))
        func accuracy(_ state: (flipped: Int, right: Int)?) -> String { fixed(Double(state?.right ?? 0) / Double(walk.images), 3) }
        let changed = Self.flipped(initial, model, flipped), factor = Self.restoreNorm(changed, of: model)
        return DefenseOutcome(
            parameters: changed, bounds: Bounds(model.network), passes: plannedPasses(walk.images),
            audit: [
                Finding("inputs of fc1 flipped", "\(flipped.count) of \(ClampNet.flattened)"),
                Finding(
                    "up to an activity of, mean of all", "\(fixed(flipped.map { walk.activity[$0] }.max() ?? 0, 4)) \(fixed(walk.mean, 4))"),
                Finding("accuracy on FM images: before, flipped", "\(accuracy(states.first)) \(accuracy(states.last))"),
                Finding("weights of fc1 scaled by", fixed(factor, 4)),
            ])
    }

    /// `model`, with 2 w0 - w on the weights of fc1 that read these inputs: places in the blocked order, (C / 32, 4 x 4, 32).
    static func flipped(_ initial: Parameters, _ model: Parameters, _ inputs: [Int]) -> Parameters {
        let changed = Parameters(copying: model)
        for input in inputs {
            forEachWeight(model.network, input) { at, _ in changed.base[at] = 2 * initial.base[at] - model.base[at] }
        }
        return changed
    }

    /// Scales fc1's weights to the norm that they have in `model`; the factor.
    static func restoreNorm(_ changed: Parameters, of model: Parameters) -> Double {
        let tensor = model.network.weight(.fc1), range = tensor.offset..<tensor.offset + tensor.count
        func norm(_ p: Parameters) -> Double { range.reduce(0) { $0 + Double(p.base[$1]) * Double(p.base[$1]) }.squareRoot() }
        let now = norm(changed), factor = now > 0 ? norm(model) / now : 1
        for at in range { changed.base[at] = Float(factor * Double(changed.base[at])) }
        return factor
    }

    /// Offsets of the weights of fc1 that read an input, (O / 32, I, 32), each with its unit.
    private static func forEachWeight(_ network: ClampNet, _ input: Int, _ body: (_ at: Int, _ unit: Int) -> Void) {
        let first = network.weight(.fc1).offset
        for panel in 0..<ClampNet.hidden / 32 {
            for lane in 0..<32 { body(first + (panel * ClampNet.flattened + input) * 32 + lane, panel * 32 + lane) }
        }
    }

    /// The FM images at fc1, whose inputs are flipped one after another. Only the dense layers are computed anew.
    struct Walk {
        /// Of each input, in the blocked order.
        let activity: [Double]
        let images: Int
        /// Of a product of a fraction and a number of images.
        private static let rounding = 1e-9
        private let initial: Parameters, model: Parameters, samples: Samples, threads: Int, dense: DenseLayers
        /// (images, 2048)
        private let inputs: FloatBuffer

        init(_ initial: Parameters, _ model: Parameters, _ samples: Samples, _ context: DefenseContext) {
            let images = samples.count, width = ClampNet.flattened, inputs = FloatBuffer(images * width)
            (self.initial, self.model, self.samples, self.images) = (initial, model, samples, images)
            (threads, dense) = (context.threads, DenseLayers(model))
            Predictor(model.network, kernels: context.kernels, threads: threads).forEachChunk(
                images, model, Bounds(model.network), load: { samples.load($0, into: $1) }
            ) { first, n, workspace in (inputs.base + first * width).update(from: workspace.flat, count: n * width) }
            activity = parallelMap(width, threads: threads) { input, _ in
                (0..<images).reduce(0.0) { $0 + Double(inputs.base[$1 * width + input]) } / Double(images)
            }
            self.inputs = inputs
        }

        /// Of all activities.
        var mean: Double { activity.reduce(0, +) / Double(activity.count) }

        /// Inputs, quietest first; equals by place.
        var order: [Int] { activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) } }

        /// At first and after each rise of the threshold: how many inputs are flipped, the first ones of `order`, and how many images are
        /// right. Inputs of equal activity go together.
        func flip(until drop: Double) -> [(flipped: Int, right: Int)] {
            let order = order, sums = Sums(inputs, images, dense, threads), first = right(sums, flipping: [])
            var states = [(flipped: 0, right: first)], flipped = 0, lost = 0
            while flipped < order.count, Double(lost) < drop * Double(images) - Self.rounding {
                let group = order[flipped...].prefix { activity[$0] == activity[order[flipped]] }
                flipped += group.count
                states.append((flipped, right(sums, flipping: Array(group))))
                lost = first - states[states.count - 1].right
            }
            return states
        }

        /// How many images are right with these inputs flipped, too. Their part of the sums changes by -2 (w - w0) times the input.
        private func right(_ sums: Sums, flipping group: [Int]) -> Int {
            let changes = group.map { input in
                var change = [Double](repeating: 0, count: DenseLayers.units)
                FlippedUpdates.forEachWeight(model.network, input) { at, unit in
                    change[unit] = Double(2 * initial.base[at] - model.base[at]) - Double(model.base[at])
                }
                return change
            }
            let right = Flags(images)
            parallel(images, threads: threads) { image, _ in
                let x = inputs.base + image * ClampNet.flattened
                let sums = sums.of(image)
                for (input, change) in zip(group, changes) where x[input] != 0 {
                    let value = Double(x[input])
                    for unit in 0..<DenseLayers.units { sums[unit] += value * change[unit] }
                }
                right[image] = dense.prediction(sums) == samples.label(image)
            }
            return right.count
        }
    }

    /// fc1's sums of every image, each with the room that `DenseLayers.prediction` needs.
    private final class Sums: @unchecked Sendable {
        private let base: UnsafeMutablePointer<Double>, stride: Int

        init(_ inputs: FloatBuffer, _ images: Int, _ dense: DenseLayers, _ threads: Int) {
            stride = dense.scratch
            base = .allocate(capacity: images * stride)
            base.initialize(repeating: 0, count: images * stride)
            let (base, stride) = (base, stride)
            parallel(images, threads: threads) { image, _ in
                dense.start(inputs.base + image * ClampNet.flattened, base + image * stride)
            }
        }

        deinit { base.deallocate() }

        func of(_ image: Int) -> UnsafeMutablePointer<Double> { base + image * stride }
    }
}
