import KernelTable
import Tensor

/// Sums of gradients over images. Those of the 3x3 convolutions gather in the Winograd domain, where they are plain
/// matrix products, and are taken back to the nine taps once, by `finish`.
public final class Gradient: @unchecked Sendable {
    public let network: ClampNet
    /// Gradient of every parameter, in the layout of `Parameters`; complete after `finish`.
    public let parameters: FloatBuffer
    /// Gradient of every bound.
    public let bounds = FloatBuffer(Layer.totalBounds)
    private let tiles: FloatBuffer
    private let offsets: [Int]

    public init(_ network: ClampNet) {
        self.network = network
        parameters = FloatBuffer(network.parameterFloats)
        var plan = ArenaPlan()
        offsets = (0..<6).map { plan.reserve($0 == 0 ? 0 : 36 * PreparedWeights.positionStride(network, $0)) }
        tiles = FloatBuffer(plan.floats)
    }

    /// Bytes of one.
    static func bytes(_ network: ClampNet) -> Int {
        4 * (network.parameterFloats + Layer.totalBounds + 36 * (1..<6).reduce(0) { $0 + PreparedWeights.positionStride(network, $1) })
    }

    func tiles(_ conv: Int) -> UnsafeMutablePointer<Float> { tiles.base + offsets[conv] }

    public func zero() {
        parameters.zero()
        bounds.zero()
        tiles.zero()
    }

    /// Adds the Winograd-domain sums to the taps.
    func finish(_ kernels: KernelTable) {
        for conv in 1..<6 {
            let tensor = network.weight(conv), step = tensor.count / 9
            kernels.weightGradient(tiles(conv), PreparedWeights.positionStride(network, conv), step,
                                   parameters.base + tensor.offset, step)
        }
        tiles.zero()
    }
}
