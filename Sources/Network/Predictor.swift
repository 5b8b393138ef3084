import KernelTable
import Tensor

/// Forward passes of one model over many images, on several threads. Images are independent, so results are too.
public final class Predictor: @unchecked Sendable {
    public let network: ClampNet
    private let kernels: KernelTable
    private let prepared: PreparedWeights
    private let workspaces: [Workspace]

    /// - Parameter workspaces: to work in, one for each thread; others may use them in between. Nil for its own.
    public init(_ network: ClampNet, kernels: KernelTable, threads: Int, in workspaces: [Workspace]? = nil) {
        self.network = network
        self.kernels = kernels
        prepared = PreparedWeights(network)
        self.workspaces = workspaces ?? (0..<max(1, threads)).map { _ in Workspace(network, kernels, backward: false) }
    }

    /// Bytes that one takes besides its workspaces.
    public static func bytes(_ network: ClampNet) -> Int { PreparedWeights.bytes(network) }

    /// Takes `count` images through the network in chunks; `visit(first, n, workspace)` sees each chunk's results, on
    /// any thread and in any order.
    public func forEachChunk(
        _ count: Int, _ parameters: Parameters, _ bounds: Bounds,
        load: (Int, UnsafeMutablePointer<Float>) -> Void,
        visit: (_ first: Int, _ n: Int, _ workspace: Workspace) -> Void
    ) {
        prepared.prepare(parameters, kernels, backward: false)
        let chunks = (count + Workspace.capacity - 1) / Workspace.capacity
        parallel(chunks, threads: workspaces.count) { chunk, worker in
            let workspace = workspaces[worker], first = chunk * Workspace.capacity
            let n = min(Workspace.capacity, count - first)
            for i in 0..<n { load(first + i, workspace.input + i * network.inputFloats) }
            workspace.forward(n, parameters, prepared, bounds)
            visit(first, n, workspace)
        }
    }

    /// Logits (count, classes).
    public func logits(
        _ count: Int, _ parameters: Parameters, _ bounds: Bounds,
        load: (Int, UnsafeMutablePointer<Float>) -> Void
    ) -> [Float] {
        let classes = network.classes, stride = network.logitStride
        return [Float](unsafeUninitializedCapacity: count * classes) { out, initialized in
            let out = out.baseAddress
            forEachChunk(count, parameters, bounds, load: load) { first, n, workspace in
                for i in 0..<n {
                    for k in 0..<classes { (out! + (first + i) * classes + k).initialize(to: workspace.logits[i * stride + k]) }
                }
            }
            initialized = count * classes
        }
    }
}
