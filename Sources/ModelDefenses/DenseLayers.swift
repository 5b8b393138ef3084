import Network

/// The dense layers in double, for what changes inputs or weights of fc1 one at a time: a change of its sums is cheap, and
/// the layers behind it are small.
struct DenseLayers {
    /// Pixels of a pooled map that fc1 reads, and channels of the last convolution: fc1 has as many inputs as their product.
    static let pixels = 16, channels = ClampNet.flattened / pixels
    static let units = ClampNet.hidden

    let model: Parameters, classes: Int
    /// Canonical weights (units, inputs) and biases of the head's layers, then fc2's.
    let behind: [(weights: [Float], biases: [Float])]

    init(_ model: Parameters) {
        self.model = model
        classes = model.network.classes
        let first = 2 * Layer.head1.rawValue, tensors = model.network.tensors[first...].map(model.canonical)
        behind = stride(from: 0, to: tensors.count, by: 2).map { (tensors[$0], tensors[$0 + 1]) }
    }

    /// Place of a channel's pixel in fc1's inputs, (C / 32, 4 x 4, 32).
    static func place(_ channel: Int, _ pixel: Int) -> Int { (channel / 32 * pixels + pixel) * 32 + channel % 32 }

    /// Doubles that `prediction` needs: fc1's sums, and then room for the values of two layers.
    var scratch: Int { Self.units + 2 * max(classes, model.network.head.width) }

    /// fc1's sums of one image's 2048 inputs, bias included.
    func start(_ maps: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>) {
        let bias = model.base + model.network.bias(.fc1).offset
        for unit in 0..<Self.units { sums[unit] = Double(bias[unit]) }
        for channel in 0..<Self.channels { add(1, channel, maps, sums) }
    }

    func remove(_ channel: Int, _ maps: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>) { add(-1, channel, maps, sums) }

    private func add(_ sign: Double, _ channel: Int, _ maps: UnsafePointer<Float>, _ sums: UnsafeMutablePointer<Double>) {
        let weights = model.base + model.network.weight(.fc1).offset
        for pixel in 0..<Self.pixels {
            let at = Self.place(channel, pixel), x = sign * Double(maps[at])
            guard x != 0 else { continue }
            for panel in 0..<Self.units / 32 {
                let row = weights + (panel * ClampNet.flattened + at) * 32
                for lane in 0..<32 { sums[panel * 32 + lane] += x * Double(row[lane]) }
            }
        }
    }

    /// The class with the largest logit, from fc1's sums; the first among equals.
    func prediction(_ sums: UnsafeMutablePointer<Double>) -> Int {
        var x = sums, inputs = Self.units, y = sums + Self.units, other = y + max(classes, model.network.head.width)
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
