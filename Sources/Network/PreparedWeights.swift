import KernelTable
import Tensor

/// The parameters in the forms that the products read: Winograd tiles of every 3x3 kernel (U), of its flipped transpose
/// for the gradient of the input (V), and the transposed dense weights. Remade after every step.
public final class PreparedWeights: @unchecked Sendable {
    let network: ClampNet
    private let buffer: FloatBuffer
    private let scratch: FloatBuffer
    private let plan: Layout
    /// Of the largest convolution: nine taps of 128 to 128 channels.
    private static let scratchFloats = 9 * 128 * 128

    /// Offsets, in floats, of everything in the one allocation.
    private struct Layout {
        /// Of the convolutions but the first.
        let forward, backward: [Int]
        /// Of fc1, the head's layers and fc2.
        let dense: [Int]
        let floats: Int

        init(_ network: ClampNet) {
            var plan = ArenaPlan()
            func tiles() -> [Int] {
                Layer.convolutions.map { plan.reserve($0 == .conv1 ? 0 : 36 * PreparedWeights.positionStride(network, $0)) }
            }
            forward = tiles()
            backward = tiles()
            let tensors = network.layers[Layer.fc1.rawValue...].map(network.weight) + [network.output.weight]
            dense = tensors.map { plan.reserve($0.count) }
            floats = plan.floats
        }
    }

    public init(_ network: ClampNet) {
        self.network = network
        plan = Layout(network)
        buffer = FloatBuffer(plan.floats)
        scratch = FloatBuffer(Self.scratchFloats)
    }

    /// Bytes of one.
    static func bytes(_ network: ClampNet) -> Int { 4 * (Layout(network).floats + scratchFloats) }

    /// Floats between two of the 36 positions: the (inputs x outputs) matrix and 32 more, against cache-set conflicts.
    static func positionStride(_ network: ClampNet, _ conv: Layer) -> Int {
        network.weight(conv).count / 9 + channelBlock
    }

    func forward(_ conv: Layer) -> UnsafeMutablePointer<Float> { buffer.base + plan.forward[conv.rawValue] }
    func backward(_ conv: Layer) -> UnsafeMutablePointer<Float> { buffer.base + plan.backward[conv.rawValue] }
    /// A dense layer transposed: (inputs / 32 panels, units, 32).
    func transposed(_ layer: Layer) -> UnsafeMutablePointer<Float> { buffer.base + plan.dense[layer.rawValue - Layer.fc1.rawValue] }
    /// fc2 transposed: (panels of the last hidden layer's units, padded classes, 32).
    var outputTransposed: UnsafeMutablePointer<Float> { buffer.base + plan.dense[plan.dense.count - 1] }

    public func prepare(_ parameters: Parameters, _ kernels: KernelTable, backward needed: Bool) {
        for conv in Layer.convolutions where conv != .conv1 {
            let tensor = network.weight(conv), step = tensor.count / 9
            let w = parameters.base + tensor.offset, stride = Self.positionStride(network, conv)
            kernels.weightTiles(w, step, step, forward(conv), stride)
            if needed {
                flip(w, tensor.shape[1], tensor.shape[0], kernels)
                kernels.weightTiles(scratch.base, step, step, backward(conv), stride)
            }
        }
        guard needed else { return }
        for layer in network.layers[Layer.fc1.rawValue...] {
            let tensor = network.weight(layer)
            transposePanels(parameters.base + tensor.offset, tensor.shape[1], tensor.shape[0], transposed(layer), kernels)
        }
        let output = network.output.weight
        transposePanels(parameters.base + output.offset, output.shape[1], network.logitStride, outputTransposed, kernels)
    }

    /// scratch(8 - tap, input panel, output, 32) = w(tap, output panel, input, 32).
    private func flip(_ w: UnsafePointer<Float>, _ inputs: Int, _ outputs: Int, _ kernels: KernelTable) {
        for tap in 0..<9 {
            transposePanels(w + tap * inputs * outputs, inputs, outputs, scratch.base + (8 - tap) * inputs * outputs, kernels)
        }
    }

    /// (outputs / 32, inputs, 32) to (inputs / 32, outputs, 32).
    private func transposePanels(
        _ x: UnsafePointer<Float>, _ inputs: Int, _ outputs: Int,
        _ y: UnsafeMutablePointer<Float>, _ kernels: KernelTable
    ) {
        for o in 0..<outputs / 32 {
            for i in 0..<inputs / 32 {
                kernels.transpose(x + (o * inputs + i * 32) * 32, 32, y + (i * outputs + o * 32) * 32, 32, 32, 32)
            }
        }
    }
}
