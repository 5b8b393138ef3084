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
        private static let pixels = 16, channels = ClampNet.flattened / pixels, units = ClampNet.hidden

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
                        for pixel in 0..<Self.pixels { sums[image * channels + c] += Double(maps[Self.place(c, pixel)]) }
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

        /// Place of a channel's pixel in fc1's inputs, (C / 32, 4 x 4, 32).
        private static func place(_ channel: Int, _ pixel: Int) -> Int { (channel / 32 * pixels + pixel) * 32 + channel % 32 }

        private func forEachImage(_ body: (_ image: Int, _ maps: UnsafePointer<Float>) -> Void) {
            predictor.forEachChunk(samples.count, model, Bounds(model.network), load: { samples.load($0, into: $1) }) {
                first, n, workspace in
                for i in 0..<n { body(first + i, workspace.flat + i * ClampNet.flattened) }
            }
        }

        /// The dense layers in double.
        private struct DenseLayers {
            let model: Parameters, classes: Int
            /// Canonical weights (units, inputs) and biases of the head's layers, then fc2's.
            let behind: [(weights: [Float], biases: [Float])]

            init(_ model: Parameters) {
                self.model = model
                classes = model.network.classes
                let first = 2 * Layer.head1.rawValue, tensors = model.network.tensors[first...].map(model.canonical)
                behind = stride(from: 0, to: tensors.count, by: 2).map { (tensors[$0], tensors[$0 + 1]) }
            }

            /// Doubles that `prediction` needs: fc1's sums, and then room for the values of two layers.
            var scratch: Int { units + 2 * max(classes, model.network.head.width) }

            /// fc1's sums, bias included.
            func start(_ maps: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>) {
                let bias = model.base + model.network.bias(.fc1).offset
                for unit in 0..<units { sums[unit] = Double(bias[unit]) }
                for channel in 0..<channels { add(1, channel, maps, sums) }
            }

            func remove(_ channel: Int, _ maps: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>) { add(-1, channel, maps, sums) }

            private func add(_ sign: Double, _ channel: Int, _ maps: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>) {
                let weights = model.base + model.network.weight(.fc1).offset
                for pixel in 0..<pixels {
                    let at = place(channel, pixel), x = sign * Double(maps[at])
                    guard x != 0 else { continue }
                    for panel in 0..<units / 32 {
                        let row = weights + (panel * ClampNet.flattened + at) * 32
                        for lane in 0..<32 { sums[panel * 32 + lane] += x * Double(row[lane]) }
                    }
                }
            }

            /// The class with the largest logit, from fc1's sums; the first among equals.
            func prediction(_ sums: UnsafeMutablePointer<Double>) -> Int {
                var x = sums, inputs = units, y = sums + units, other = y + max(classes, model.network.head.width)
                for layer in behind {
                    apply(layer, x, inputs, y)
                    (x, inputs, y, other) = (y, layer.biases.count, other, y)
                }
                return (0..<classes).reduce(0) { x[$1] > x[$0] ? $1 : $0 }
            }

            /// y = b + W relu(x).
            private func apply(
                _ layer: (weights: [Float], biases: [Float]), _ x: UnsafeMutablePointer<Double>, _ inputs: Int,
                _ y: UnsafeMutablePointer<Double>
            ) {
                layer.weights.withUnsafeBufferPointer { weights in
                    for unit in layer.biases.indices {
                        var sum = Double(layer.biases[unit])
                        for i in 0..<inputs where x[i] > 0 { sum += x[i] * Double(weights[unit * inputs + i]) }
                        y[unit] = sum
                    }
                }
            }
        }
    }
}
