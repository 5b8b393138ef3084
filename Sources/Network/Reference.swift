import Tensor

/// ClampNet once more, for reading and for checking: canonical layout, double precision, plain loops, no blocks, no
/// Winograd. Thousands of times slower than the kernels and their judge.
public struct Reference: Sendable {
    public let network: ClampNet
    /// Canonical values of `network.tensors`, in their order; free to be changed.
    public var weights: [[Double]]
    /// z of every hidden layer.
    public var bounds: [[Double]]

    /// The hidden layers and fc2: conv1 ... conv6, fc1, the head's, fc2.
    public var stages: Int { network.layers.count + 1 }

    public init(_ parameters: Parameters, _ bounds: Bounds) {
        network = parameters.network
        weights = parameters.network.tensors.map { parameters.canonical($0).map(Double.init) }
        self.bounds = network.layers.map { bounds[$0].map(Double.init) }
    }

    /// Logits of an image (channels, 32, 32), or of what goes into stage `first`.
    public func logits(_ x: [Double], from first: Int = 0) -> [Double] {
        (first..<stages).reduce(x) { stage($1, $0) }
    }

    /// What goes into each stage.
    public func inputs(_ image: [Double]) -> [[Double]] {
        (0..<stages - 1).reduce(into: [image]) { inputs, s in inputs.append(stage(s, inputs[s])) }
    }

    /// One layer: convolution or product, ReLU, bound, and the pool behind every second convolution.
    func stage(_ s: Int, _ x: [Double]) -> [Double] {
        guard s < network.layers.count else { return dense(s, x) }
        let z = bounds[s]
        var a = s < Layer.convolutions.count ? convolution(s, x) : dense(s, x)
        let plane = a.count / z.count
        for k in a.indices { a[k] = min(max(a[k], 0), z[k / plane]) }
        return s < Layer.convolutions.count && s % 2 == 1 ? pool(a, side: Layer.allCases[s].side) : a
    }

    /// y(o) = b(o) + sum over i, ky, kx of w(o, i, ky, kx) x(i, . + ky - 1, . + kx - 1), zero outside.
    private func convolution(_ s: Int, _ x: [Double]) -> [Double] {
        let shape = network.tensors[2 * s].shape, side = Layer.allCases[s].side, plane = side * side
        let kernels = weights[2 * s], biases = weights[2 * s + 1]
        var y = [Double](repeating: 0, count: shape[0] * plane)
        y.withUnsafeMutableBufferPointer { y in
            x.withUnsafeBufferPointer { x in
                for o in 0..<shape[0] {
                    for k in 0..<plane { y[o * plane + k] = biases[o] }
                    for i in 0..<shape[1] {
                        for tap in 0..<9 {
                            let w = kernels[(o * shape[1] + i) * 9 + tap], dy = tap / 3 - 1, dx = tap % 3 - 1
                            for row in max(0, -dy)..<min(side, side - dy) {
                                let to = o * plane + row * side, from = i * plane + (row + dy) * side + dx
                                for column in max(0, -dx)..<min(side, side - dx) { y[to + column] += w * x[from + column] }
                            }
                        }
                    }
                }
            }
        }
        return y
    }

    private func dense(_ s: Int, _ x: [Double]) -> [Double] {
        let rows = weights[2 * s]
        return weights[2 * s + 1].enumerated().map { o, bias in
            var sum = bias
            for i in x.indices { sum += rows[o * x.count + i] * x[i] }
            return sum
        }
    }

    /// 2x2 maximum.
    private func pool(_ x: [Double], side: Int) -> [Double] {
        let half = side / 2
        return (0..<x.count / 4).map { k in
            let column = k % half * 2, row = k / half % half * 2, first = k / (half * half) * side * side + row * side + column
            return max(max(x[first], x[first + 1]), max(x[first + side], x[first + side + 1]))
        }
    }

    /// Cross-entropy of `logits` with a label.
    public static func crossEntropy(_ logits: [Double], label: Int) -> Double {
        let top = logits.max() ?? 0
        return top + Mathematics.log(logits.reduce(0) { $0 + Mathematics.exp($1 - top) }) - logits[label]
    }
}
