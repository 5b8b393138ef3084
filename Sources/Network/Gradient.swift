import KernelTable
import Tensor

/// Sums of gradients over images. Those of the 3x3 convolutions gather in the Winograd domain, where they are plain
/// matrix products, and are taken back to the nine taps once, by `finish`.
public final class Gradient: @unchecked Sendable {
    public let network: ClampNet
    /// Gradient of every parameter, in the layout of `Parameters`; complete after `finish`.
    public let parameters: FloatBuffer
    /// Gradient of every bound.
    public let bounds: FloatBuffer
    private let tiles: FloatBuffer
    private let offsets: [Int]

    public init(_ network: ClampNet) {
        self.network = network
        parameters = FloatBuffer(network.parameterFloats)
        bounds = FloatBuffer(network.totalBounds)
        var plan = ArenaPlan()
        offsets = Layer.convolutions.map { plan.reserve(Self.tileFloats(network, $0)) }
        tiles = FloatBuffer(plan.floats)
    }

    /// Bytes of one.
    static func bytes(_ network: ClampNet) -> Int {
        4 * (network.parameterFloats + network.totalBounds + Layer.convolutions.reduce(0) { $0 + tileFloats(network, $1) })
    }

    /// conv1's gradient needs no tiles.
    private static func tileFloats(_ network: ClampNet, _ conv: Layer) -> Int {
        conv == .conv1 ? 0 : 36 * PreparedWeights.positionStride(network, conv)
    }

    func tiles(_ conv: Layer) -> UnsafeMutablePointer<Float> { tiles.base + offsets[conv.rawValue] }

    public func zero() {
        parameters.zero()
        bounds.zero()
        tiles.zero()
    }

    /// Adds the Winograd-domain sums to the taps.
    func finish(_ kernels: KernelTable) {
        for conv in Layer.convolutions where conv != .conv1 {
            let tensor = network.weight(conv), step = tensor.count / 9
            kernels.weightGradient(
                tiles(conv), PreparedWeights.positionStride(network, conv), step,
                parameters.base + tensor.offset, step)
        }
        tiles.zero()
    }
}
