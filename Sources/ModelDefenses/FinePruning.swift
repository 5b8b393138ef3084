import Attacks
import DefenseInterface
import Network
import Numerics
import Tensor

/// Fine-Pruning: channels of the last convolution that FM images leave quiet are where a backdoor hides; they are pruned,
/// quietest first, and what is left is fine-tuned.
///
/// A channel's activity is its mean over the FM images and the 4 x 4 pixels that fc1 reads (after ReLU and pool); equals go
/// by number. Pruned are as many as do not take accuracy on the FM data (their labels as the server holds them) more than
/// 0.1 below what it was: the first pruning that does is taken back. Then `FineTuning` with its own defaults; pruned
/// channels stay zero.
///
/// Source: Liu, Dolan-Gavitt and Garg, RAID 2018, arXiv 1805.12185, sections 4.1 and 4.3.
public struct FinePruning: ModelDefense {
    public static let name = "fine-pruning"
    public static let leastImages = 2
    /// Accuracy that pruning may cost.
    public var loss = 0.1
    public var tuning = FineTuning()

    public init() {}

    public func plannedPasses(_ images: Int) -> Double { Double(images) * 2 / 3 + tuning.plannedPasses(images) }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        let samples = context.synthetic, pruning = LastConvolution(model, samples, context)
        let activity = pruning.activity(), order = activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) }
        let accuracies = pruning.accuracies(order), count = Self.channels(accuracies, loss)
        let prune = Set(order.prefix(count).map { model.network.boundOffset(.conv6) + $0 })
        let pruned = HiddenChannels(network: model.network).pruned(model, prune)
        let (tuned, losses) = try tuning.train(pruned, context)
        return DefenseOutcome(
            parameters: tuned, bounds: Bounds(model.network), passes: plannedPasses(samples.count),
            audit: [
                Finding("channels of conv6 pruned", "\(count) of \(order.count)"),
                Finding("accuracy on FM images: before, pruned", "\(fixed(accuracies[0], 3)) \(fixed(accuracies[count], 3))"),
                Finding(
                    "loss in the first and the last epoch of fine-tuning",
                    "\(fixed(losses.first ?? .nan, 3)) \(fixed(losses.last ?? .nan, 3))"),
            ])
    }

    /// How many channels may go, where `accuracies[k]` is what k leave.
    static func channels(_ accuracies: [Double], _ loss: Double) -> Int {
        (accuracies.firstIndex { $0 < accuracies[0] - loss } ?? accuracies.count) - 1
    }

    /// What the network makes of the FM images when channels of its last convolution go. Only fc1 reads those, so that
    /// one forward pass is enough for all 129 prunings: a channel's part of fc1's sums is taken off at a time.
    struct LastConvolution {
        private let model: Parameters, samples: Samples, predictor: Predictor, threads: Int
        private static let pixels = DenseLayers.pixels, channels = DenseLayers.channels

        init(_ model: Parameters, _ samples: Samples, _ context: DefenseContext) {
            (self.model, self.samples, threads) = (model, samples, context.threads)
            predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        }

        /// Mean over images and pixels of every channel, 128 values. Images are added up in order.
        func activity() -> [Double] {
            let images = samples.count, channels = Self.channels
            var sums = [Double](repeating: 0, count: images * channels)
            sums.withUnsafeMutableBufferPointer { buffer in
                guard let sums = buffer.baseAddress else { return }
                forEachImage { image, maps in
                    for c in 0..<channels {
                        for pixel in 0..<Self.pixels { sums[image * channels + c] += Double(maps[DenseLayers.place(c, pixel)]) }
                    }
                }
            }
            return (0..<channels).map { c in
                (0..<images).reduce(0) { $0 + sums[$1 * channels + c] } / Double(images * Self.pixels)
            }
        }

        /// Accuracy on the FM data without the first 0, 1, ... 128 channels of `order`, in double.
        func accuracies(_ order: [Int]) -> [Double] {
            let states = order.count + 1, right = Flags(samples.count * states), dense = DenseLayers(model)
            forEachImage { image, maps in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: dense.scratch) { scratch in
                    guard let sums = scratch.baseAddress else { return }
                    dense.start(maps, sums)
                    right[image * states] = dense.prediction(sums) == samples.label(image)
                    for (k, channel) in order.enumerated() {
                        dense.remove(channel, maps, sums)
                        right[image * states + k + 1] = dense.prediction(sums) == samples.label(image)
                    }
                }
            }
            return (0..<states).map { k in
                Double((0..<samples.count).filter { right[$0 * states + k] }.count) / Double(samples.count)
            }
        }

        private func forEachImage(_ body: (_ image: Int, _ maps: UnsafePointer<Float>) -> Void) {
            predictor.forEachChunk(samples.count, model, Bounds(model.network), load: { samples.load($0, into: $1) }) {
                first, n, workspace in
                for i in 0..<n { body(first + i, workspace.flat + i * ClampNet.flattened) }
            }
        }
    }
}
