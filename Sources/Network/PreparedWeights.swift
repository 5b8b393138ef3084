import KernelTable
import Tensor

/// The parameters in the forms that the products read: Winograd tiles of every 3x3 kernel (U), of its flipped transpose
/// for the gradient of the input (V), and the transposed dense weights. Remade after every step.
public final class PreparedWeights: @unchecked Sendable {
    let network: ClampNet
    private let buffer: FloatBuffer
    private let scratch: FloatBuffer
    private let forwardOffsets: [Int], backwardOffsets: [Int], dense1: Int, dense2: Int

    public init(_ network: ClampNet) {
        self.network = network
        var plan = ArenaPlan()
        forwardOffsets = (0..<6).map { plan.reserve($0 == 0 ? 0 : 36 * Self.positionStride(network, $0)) }
        backwardOffsets = (0..<6).map { plan.reserve($0 == 0 ? 0 : 36 * Self.positionStride(network, $0)) }
        dense1 = plan.reserve(ClampNet.flattened * ClampNet.hidden)
        dense2 = plan.reserve(ClampNet.hidden * network.logitStride)
        buffer = FloatBuffer(plan.floats)
        scratch = FloatBuffer(9 * 128 * 128)
    }

    /// Bytes of one.
    static func bytes(_ network: ClampNet) -> Int {
        let tiles = 72 * (1..<6).reduce(0) { $0 + positionStride(network, $1) }
        return 4 * (tiles + ClampNet.flattened * ClampNet.hidden + ClampNet.hidden * network.logitStride + 9 * 128 * 128)
    }

    /// Floats between two of the 36 positions: the (inputs x outputs) matrix and 32 more, against cache-set conflicts.
    static func positionStride(_ network: ClampNet, _ conv: Int) -> Int {
        network.weight(conv).count / 9 + channelBlock
    }

    func forward(_ conv: Int) -> UnsafeMutablePointer<Float> { buffer.base + forwardOffsets[conv] }
    func backward(_ conv: Int) -> UnsafeMutablePointer<Float> { buffer.base + backwardOffsets[conv] }
    /// fc1 transposed: (64 panels of inputs, 128, 32).
    var fc1Transposed: UnsafeMutablePointer<Float> { buffer.base + dense1 }
    /// fc2 transposed: (4 panels of hidden units, padded classes, 32).
    var fc2Transposed: UnsafeMutablePointer<Float> { buffer.base + dense2 }

    public func prepare(_ parameters: Parameters, _ kernels: KernelTable, backward needed: Bool) {
        for conv in 1..<6 {
            let tensor = network.weight(conv), step = tensor.count / 9
            let w = parameters.base + tensor.offset, stride = Self.positionStride(network, conv)
            kernels.weightTiles(w, step, step, forward(conv), stride)
            if needed {
                flip(w, tensor.shape[1], tensor.shape[0], kernels)
                kernels.weightTiles(scratch.base, step, step, backward(conv), stride)
            }
        }
        guard needed else { return }
        transposePanels(parameters.base + network.weight(6).offset, ClampNet.flattened, ClampNet.hidden, fc1Transposed, kernels)
        transposePanels(parameters.base + network.weight(7).offset, ClampNet.hidden, network.logitStride, fc2Transposed, kernels)
    }

    /// scratch(8 - tap, input panel, output, 32) = w(tap, output panel, input, 32).
    private func flip(_ w: UnsafePointer<Float>, _ inputs: Int, _ outputs: Int, _ kernels: KernelTable) {
        for tap in 0..<9 {
            transposePanels(w + tap * inputs * outputs, inputs, outputs, scratch.base + (8 - tap) * inputs * outputs, kernels)
        }
    }

    /// (outputs / 32, inputs, 32) to (inputs / 32, outputs, 32).
    private func transposePanels(_ x: UnsafePointer<Float>, _ inputs: Int, _ outputs: Int,
                                 _ y: UnsafeMutablePointer<Float>, _ kernels: KernelTable) {
        for o in 0..<outputs / 32 {
            for i in 0..<inputs / 32 {
                kernels.transpose(x + (o * inputs + i * 32) * 32, 32, y + (i * outputs + o * 32) * 32, 32, 32, 32)
            }
        }
    }
}
