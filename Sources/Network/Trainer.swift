import KernelTable
import Tensor

/// SGD with momentum and weight decay, as PyTorch's `torch.optim.SGD`, after clipping the gradient's norm as
/// `torch.nn.utils.clip_grad_norm_` does.
public struct SGD: Sendable {
    public var rate: Float, momentum: Float, decay: Float
    /// Largest norm of a batch's gradient over all parameters; +inf does not clip.
    public var clip: Double

    public init(rate: Float, momentum: Float = 0.9, decay: Float = 5e-4, clip: Double = .infinity) {
        self.rate = rate
        self.momentum = momentum
        self.decay = decay
        self.clip = clip
    }
}

/// Trains one model. A batch is cut into chunks of `Workspace.capacity` images, dealt to `lanes` sums of gradients that
/// are added in lane order: the result depends on the number of lanes, never on the number of threads. A client's
/// training has one lane (clients run side by side, one to a core), the server's has `serverLanes`.
public final class Trainer: @unchecked Sendable {
    public static let serverLanes = 4

    public let network: ClampNet
    public let parameters: Parameters
    public let bounds: Bounds
    public let kernels: KernelTable
    private let prepared: PreparedWeights
    private let velocity: FloatBuffer
    private let gradients: [Gradient]
    private let workspaces: [Workspace]
    private let losses: FloatBuffer64

    /// - Parameter workspaces: to work in, one for each thread; others may use them in between. Nil for its own.
    public init(_ network: ClampNet, kernels: KernelTable, lanes: Int = 1, threads: Int = 1, in workspaces: [Workspace]? = nil) {
        self.network = network
        self.kernels = kernels
        parameters = Parameters(network)
        bounds = Bounds(network)
        prepared = PreparedWeights(network)
        velocity = FloatBuffer(network.parameterFloats)
        gradients = (0..<lanes).map { _ in Gradient(network) }
        let needed = max(1, min(threads, lanes))
        precondition(workspaces.map { $0.count >= needed } ?? true)
        self.workspaces = workspaces.map { Array($0.prefix(needed)) } ?? (0..<needed).map { _ in Workspace(network, kernels) }
        losses = FloatBuffer64(lanes)
    }

    /// Bytes that one takes besides its workspaces.
    public static func bytes(_ network: ClampNet, lanes: Int = 1) -> Int {
        8 * network.parameterFloats + PreparedWeights.bytes(network) + lanes * Gradient.bytes(network)
    }

    /// Starts from other parameters and bounds, with momentum zero.
    public func reset(_ start: Parameters, bounds: Bounds? = nil) {
        parameters.buffer.copy(from: start.buffer)
        if let bounds { self.bounds.buffer.copy(from: bounds.buffer) } else { self.bounds.buffer.fill(.infinity) }
        velocity.zero()
        gradients.forEach { $0.zero() }
    }

    /// One step over `count` images. `load(i, x)` writes image i of the batch, `loss(i, logits, gradient)` returns its
    /// share of the mean loss and writes the gradient of the logits. Returns the mean loss before the step.
    @discardableResult
    public func step(
        _ count: Int, _ optimizer: SGD, load: (Int, UnsafeMutablePointer<Float>) -> Void,
        loss: (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Double
    ) -> Double {
        let mean = gradient(count, load: load, loss: loss)
        descend(optimizer)
        return mean
    }

    /// One step of SGD on the gradient that is in `sum`, which is zero afterwards: the second half of `step`.
    public func descend(_ optimizer: SGD) {
        clip(to: optimizer.clip)
        kernels.sgd(
            parameters.base, velocity.base, gradients[0].parameters.base, parameters.count,
            optimizer.rate, optimizer.momentum, optimizer.decay)
        gradients[0].bounds.zero()
    }

    /// The gradient of the mean loss, in `sum` until the next step. Returns the loss.
    public func gradient(
        _ count: Int, load: (Int, UnsafeMutablePointer<Float>) -> Void,
        loss: (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Double
    ) -> Double {
        prepared.prepare(parameters, kernels, backward: true)
        return passes(count, weights: true, load, loss)
    }

    /// Makes ready for `boundGradient`, once for parameters that stay.
    public func prepareForBounds() { prepared.prepare(parameters, kernels, backward: true) }

    /// Gradients of the bounds only, of losses of `count` images, in `sum.bounds`, which the caller clears. `image(i, g)`
    /// sees the gradient of image i's input, (34, 34, channels), border included, on any thread.
    public func boundGradient(
        _ count: Int, load: (Int, UnsafeMutablePointer<Float>) -> Void,
        loss: (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Double,
        image: ((Int, UnsafePointer<Float>) -> Void)? = nil
    ) -> Double {
        passes(count, weights: false, load, loss, image)
    }

    private func passes(
        _ count: Int, weights: Bool, _ load: (Int, UnsafeMutablePointer<Float>) -> Void,
        _ loss: (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Double,
        _ image: ((Int, UnsafePointer<Float>) -> Void)? = nil
    ) -> Double {
        let lanes = gradients.count
        parallel(lanes, threads: workspaces.count) { lane, worker in
            let workspace = workspaces[worker], gradient = gradients[lane]
            var sum = 0.0, start = lane * Workspace.capacity
            while start < count {
                let n = min(Workspace.capacity, count - start)
                sum += pass(workspace, start, n, load, loss)
                workspace.backward(n, prepared, bounds, gradient, weights: weights, inputOf: image == nil ? nil : parameters)
                if let image { for i in 0..<n { image(start + i, workspace.inputGradient + i * network.inputFloats) } }
                start += lanes * Workspace.capacity
            }
            if weights { gradient.finish(kernels) }
            losses.base[lane] = sum
        }
        for lane in 1..<max(1, lanes) {
            kernels.add(gradients[0].bounds.base, gradients[lane].bounds.base, network.totalBounds)
            gradients[lane].bounds.zero()
            guard weights else { continue }
            kernels.add(gradients[0].parameters.base, gradients[lane].parameters.base, parameters.count)
            gradients[lane].parameters.zero()
        }
        return losses.sum
    }

    public var sum: Gradient { gradients[0] }

    /// Scales the gradient down to a norm of at most `limit`; the norm is summed in double, in a fixed order.
    private func clip(to limit: Double) {
        guard limit < .infinity else { return }
        let g = gradients[0].parameters.base
        var sums = SIMD8<Double>.zero
        for i in stride(from: 0, to: parameters.count, by: 8) {
            let x = SIMD8<Double>(UnsafeRawPointer(g + i).assumingMemoryBound(to: SIMD8<Float>.self).pointee)
            sums += x * x
        }
        let norm = sums.sum().squareRoot()
        guard norm > limit else { return }
        let factor = Float(limit / norm)
        for i in 0..<parameters.count { g[i] *= factor }
    }

    private func pass(
        _ workspace: Workspace, _ start: Int, _ n: Int, _ load: (Int, UnsafeMutablePointer<Float>) -> Void,
        _ loss: (Int, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Double
    ) -> Double {
        let stride = network.logitStride
        for i in 0..<n { load(start + i, workspace.input + i * network.inputFloats) }
        workspace.forward(n, parameters, prepared, bounds)
        var sum = 0.0
        for i in 0..<n { sum += loss(start + i, workspace.logits + i * stride, workspace.logitGradient + i * stride) }
        return sum
    }
}

/// A few doubles with a fixed address.
final class FloatBuffer64: @unchecked Sendable {
    let base: UnsafeMutablePointer<Double>
    let count: Int

    init(_ count: Int) {
        self.count = count
        base = .allocate(capacity: count)
        base.initialize(repeating: 0, count: count)
    }

    deinit { base.deallocate() }

    var sum: Double { (0..<count).reduce(0) { $0 + base[$1] } }
}
