import Tensor

/// All weights and biases as one flat vector in blocked layout. Padding is zero and stays zero, so norms, distances and
/// cosines over the flat vector are those over the parameters.
public final class Parameters: @unchecked Sendable {
    public let network: ClampNet
    public let buffer: FloatBuffer

    public init(_ network: ClampNet) {
        self.network = network
        buffer = FloatBuffer(network.parameterFloats)
    }

    public convenience init(copying other: Parameters) {
        self.init(other.network)
        buffer.copy(from: other.buffer)
    }

    public var base: UnsafeMutablePointer<Float> { buffer.base }
    public var count: Int { buffer.count }

    /// He-normal weights (standard deviation sqrt(2 / fan-in)), zero biases.
    public func initialize<G: RandomNumberGenerator>(normal: (inout G) -> Double, using generator: inout G) {
        buffer.zero()
        for tensor in network.tensors where tensor.shape.count > 1 {
            let deviation = (2 / Double(tensor.shape[1...].reduce(1, *))).squareRoot()
            for i in 0..<tensor.canonicalCount { base[tensor.place(i)] = Float(deviation * normal(&generator)) }
        }
    }

    /// The canonical values of a tensor, row-major in its shape.
    public func canonical(_ tensor: ParameterTensor) -> [Float] {
        (0..<tensor.canonicalCount).map { base[tensor.place($0)] }
    }

    public func setCanonical(_ tensor: ParameterTensor, _ values: [Float]) {
        precondition(values.count == tensor.canonicalCount)
        for (i, value) in values.enumerated() { base[tensor.place(i)] = value }
    }

    public var allFinite: Bool {
        var carries: UInt32 = 0  // into the sign, from an exponent of ones only: infinity or NaN; a loop without a branch
        for k in 0..<count { carries |= (base[k].bitPattern & 0x7f80_0000) &+ 0x0080_0000 }
        return carries & 0x8000_0000 == 0
    }
}

extension ClampNet {
    /// Every parameter once: its place in the flat blocked vector and its index in canonical order. Neighbours in this order are close to
    /// each other in both: 32 outputs of one input after those of another.
    package var elements: [(place: Int32, index: Int32)] {
        var elements: [(place: Int32, index: Int32)] = [], before = 0
        elements.reserveCapacity(parameterCount)
        for tensor in tensors {
            let outputs = tensor.shape[0], taps = tensor.shape.dropFirst(2).reduce(1, *), inputs = tensor.canonicalCount / (outputs * taps)
            for panel in stride(from: 0, to: outputs, by: 32) {
                for input in 0..<inputs {
                    for output in panel..<min(outputs, panel + 32) {
                        for i in (output * inputs + input) * taps..<(output * inputs + input + 1) * taps {
                            elements.append((Int32(tensor.place(i)), Int32(before + i)))
                        }
                    }
                }
            }
            before += tensor.canonicalCount
        }
        return elements
    }
}

extension Parameters {
    /// All parameters in canonical order, tensor after tensor, without padding.
    package var flattened: [Float] { network.tensors.flatMap { canonical($0) } }

    /// From `flattened`; nil when the count is another.
    package convenience init?(_ network: ClampNet, flattened values: [Float]) {
        guard values.count == network.parameterCount else { return nil }
        self.init(network)
        var first = 0
        for tensor in network.tensors {
            setCanonical(tensor, Array(values[first..<first + tensor.canonicalCount]))
            first += tensor.canonicalCount
        }
    }
}

/// One z >= 0 per channel (convolutions) or unit (fc1 and the head's layers) of a network; +inf where nothing is bounded.
public final class Bounds: @unchecked Sendable {
    public let network: ClampNet
    public let buffer: FloatBuffer

    public init(_ network: ClampNet) {
        self.network = network
        buffer = FloatBuffer(network.totalBounds)
        buffer.fill(.infinity)
    }

    public convenience init(copying other: Bounds) {
        self.init(other.network)
        buffer.copy(from: other.buffer)
    }

    public subscript(_ layer: Layer) -> [Float] {
        get { Array(UnsafeBufferPointer(start: pointer(layer), count: network.units(layer))) }
        set { for i in 0..<network.units(layer) { pointer(layer)[i] = newValue[i] } }
    }

    /// - Parameter layer: one of the network's.
    public func pointer(_ layer: Layer) -> UnsafeMutablePointer<Float> {
        assert(layer.rawValue < network.layers.count)
        return buffer.base + network.boundOffset(layer)
    }

    public var isUnbounded: Bool { buffer.values.allSatisfy { $0 == .infinity } }
}
