import Attacks
import Network

/// The output channels of the six convolutions and the units of fc1 and the head within the blocked parameters, numbered
/// as their bounds are. What the pruning defences share.
struct HiddenChannels {
    let network: ClampNet

    var count: Int { network.totalBounds }

    /// target = source with the weights of channel c times `weights[c]` and its bias times `biases[c]`; fc2 stays.
    func scale(_ source: Parameters, weights: [Float], biases: [Float], into target: Parameters) {
        target.buffer.copy(from: source.buffer)
        weights.withUnsafeBufferPointer { weights in
            guard let factors = weights.baseAddress else { return }
            for layer in network.layers {
                forEachRow(layer) { at, first in
                    for lane in 0..<32 { target.base[at + lane] *= factors[first + lane] }
                }
                let bias = network.bias(layer).offset
                for (c, factor) in network.bounds(of: layer).enumerated() { target.base[bias + c] *= biases[factor] }
            }
        }
    }

    /// The sum over a channel's weights of gradient times weight, and gradient times bias: the gradients of the factors
    /// in `scale`, where `gradient` is that of the scaled parameters. Writes `count` values each.
    func factorGradients(_ source: Parameters, _ gradient: UnsafePointer<Float>, weights: inout [Double], biases: inout [Double]) {
        for c in weights.indices { weights[c] = 0 }
        weights.withUnsafeMutableBufferPointer { weights in
            guard let sums = weights.baseAddress else { return }
            for layer in network.layers {
                forEachRow(layer) { at, first in
                    for lane in 0..<32 { sums[first + lane] += Double(gradient[at + lane]) * Double(source.base[at + lane]) }
                }
                for (c, factor) in network.bounds(of: layer).enumerated() {
                    let at = network.bias(layer).offset + c
                    biases[factor] = Double(gradient[at]) * Double(source.base[at])
                }
            }
        }
    }

    /// A copy without these channels (0 to `count` - 1): weights zero, and biases too unless they are kept. Without a bias they
    /// never fire and get no gradient.
    func pruned(_ parameters: Parameters, _ channels: Set<Int>, keepsBiases: Bool = false) -> Parameters {
        let keep = (0..<count).map { channels.contains($0) ? Float(0) : 1 }, result = Parameters(network)
        scale(parameters, weights: keep, biases: keepsBiases ? keep.map { _ in 1 } : keep, into: result)
        return result
    }

    /// "conv1 2, conv6 1": channels per layer, those without any left out.
    func summary(_ channels: Set<Int>) -> String {
        let counts = network.layers.compactMap { layer -> String? in
            let n = channels.filter(network.bounds(of: layer).contains).count
            return n > 0 ? "\(layer.name) \(n)" : nil
        }
        return counts.isEmpty ? "none" : counts.joined(separator: ", ")
    }

    /// Offsets of the runs of 32 weights that belong to channels first ..< first + 32; blocked layout (9, O / 32, I, 32),
    /// of a dense layer (O / 32, I, 32).
    private func forEachRow(_ layer: Layer, _ body: (_ at: Int, _ first: Int) -> Void) {
        let tensor = network.weight(layer), inputs = tensor.shape[1], panels = tensor.shape[0] / 32
        for row in 0..<tensor.count / 32 {
            body(tensor.offset + row * 32, network.boundOffset(layer) + row / inputs % panels * 32)
        }
    }
}

/// Share of the samples that the model classifies as their labels say, as the server holds them.
func accuracyOnLabels(_ model: Parameters, _ bounds: Bounds, _ samples: Samples, _ predictor: Predictor) -> Double {
    let classes = model.network.classes
    let logits = predictor.logits(samples.count, model, bounds) { samples.load($0, into: $1) }
    return logits.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return 0 }
        let right = (0..<samples.count).filter { Loss.prediction(base + $0 * classes, classes: classes) == samples.label($0) }
        return Double(right.count) / Double(samples.count)
    }
}
