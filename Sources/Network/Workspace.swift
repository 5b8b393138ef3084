import KernelTable
import Tensor

/// Everything one thread needs to take up to `capacity` images through the network and back. One allocation, laid out
/// when it is made; nothing is allocated later. Shapes stand beside the fields; n is the number of images.
public final class Workspace: @unchecked Sendable {
    /// Images that go through the network together: enough to feed the products of the last layers, few enough for the
    /// activations to stay in cache. The server's sums of gradients depend on it, so it is a constant.
    public static let capacity = 16
    /// Winograd tiles transformed at a time, so that both sides of a product stay in the second-level cache.
    private static let tileGroup = 32
    /// Images that go together through the convolutions of 32, 64 and 128 channels: as few as fill a group of tiles, so
    /// that what a layer writes is still in the second-level cache when the next one reads it.
    private static let together = [1, 2, 8]

    let network: ClampNet
    let kernels: KernelTable
    private let memory: FloatBuffer

    /// Normalised images (n, 34, 34, channels), border zero: written by the caller.
    public let input: UnsafeMutablePointer<Float>
    /// conv1 ... conv6 after ReLU, before the bound.
    let a: [Maps]
    /// Pooled maps behind conv2 and conv4, bounded.
    let pooled: [Maps]
    /// Pooled conv6, bounded: (n, 4, 4, 4, 32) = rows of fc1's input.
    public let flat: UnsafeMutablePointer<Float>
    /// fc1 and the head's layers.
    let dense: [DenseLayer]
    /// (n, logitStride); columns beyond the classes are zero.
    public let logits: UnsafeMutablePointer<Float>
    public let logitGradient: UnsafeMutablePointer<Float>
    /// Gradient of `input`, (n, 34, 34, channels); written when `backward` is asked for it, border included.
    public let inputGradient: UnsafeMutablePointer<Float>

    // Gradients of the same tensors; da only of the images that go together.
    private let da: [Maps]
    private let dpooled: [Maps]
    private let dflat: UnsafeMutablePointer<Float>
    private let noBound: UnsafeMutablePointer<Float>  // 128 times +inf, for as many channels
    private let tilesIn: UnsafeMutablePointer<Float>, tilesOut: UnsafeMutablePointer<Float>
    private let taps: UnsafeMutablePointer<Float>  // conv1 transposed: (32 outputs, 9 taps * channels, padded to 32)
    private let tapGradients: UnsafeMutablePointer<Float>  // (32 pixels of a row, 32)

    /// Offsets, in floats, of everything in the one allocation.
    private struct Layout {
        let input, flat, logits, logitGradient, dflat, noBound, tilesIn, tilesOut, floats: Int
        let inputGradient, taps, tapGradients: Int
        /// Offset, side, blocks.
        let a, pooled, da, dpooled: [(Int, Int, Int)]
        /// Offsets of a dense layer's units before and after their bound, and of their gradient.
        let dense: [(a: Int, bounded: Int, da: Int)]

        init(_ network: ClampNet, backward: Bool) {
            let n = Workspace.capacity
            var plan = ArenaPlan()
            func maps(_ side: Int, _ channels: Int, _ images: Int = Workspace.capacity) -> (Int, Int, Int) {
                (plan.reserve(images * channels * (side + 2) * (side + 2)), side, channels / 32)
            }
            input = plan.reserve(n * network.inputFloats)
            let convs = Layer.convolutions
            a = convs.map { maps($0.side, network.units($0)) }
            pooled = [maps(16, 32), maps(8, 64)]
            flat = plan.reserve(n * ClampNet.flattened)
            dense = network.layers[Layer.fc1.rawValue...].map { layer in
                let floats = n * network.units(layer)
                return (plan.reserve(floats), plan.reserve(floats), plan.reserve(backward ? floats : 0))
            }
            logits = plan.reserve(n * network.logitStride)
            logitGradient = plan.reserve(n * network.logitStride)
            da = backward ? convs.map { maps($0.side, network.units($0), together[$0.rawValue / 2]) } : []
            dpooled = backward ? [maps(16, 32), maps(8, 64)] : []
            dflat = plan.reserve(backward ? n * ClampNet.flattened : 0)
            noBound = plan.reserve(128)
            inputGradient = plan.reserve(backward ? n * network.inputFloats : 0)
            taps = plan.reserve(1024)
            tapGradients = plan.reserve(1024)
            let tileFloats = Tiles.floats(count: Workspace.tileGroup, blocks: 4)
            tilesIn = plan.reserve(tileFloats)
            tilesOut = plan.reserve(tileFloats)
            floats = plan.floats
        }
    }

    /// Bytes that one takes.
    public static func bytes(_ network: ClampNet, backward: Bool) -> Int { 4 * Layout(network, backward: backward).floats }

    public init(_ network: ClampNet, _ kernels: KernelTable, backward: Bool = true) {
        self.network = network
        self.kernels = kernels
        let plan = Layout(network, backward: backward)
        memory = FloatBuffer(plan.floats)
        let base = memory.base
        func view(_ m: (Int, Int, Int)) -> Maps { Maps(base + m.0, side: m.1, blocks: m.2) }
        input = base + plan.input
        a = plan.a.map(view)
        pooled = plan.pooled.map(view)
        flat = base + plan.flat
        logits = base + plan.logits
        logitGradient = base + plan.logitGradient
        da = plan.da.map(view)
        dpooled = plan.dpooled.map(view)
        dflat = base + plan.dflat
        dense = Self.dense(network, plan, base)
        noBound = base + plan.noBound
        inputGradient = base + plan.inputGradient
        taps = base + plan.taps
        tapGradients = base + plan.tapGradients
        tilesIn = base + plan.tilesIn
        tilesOut = base + plan.tilesOut
        for i in 0..<128 { noBound[i] = .infinity }
    }

    /// fc1 and the head's layers, each reading what the one before it leaves.
    private static func dense(_ network: ClampNet, _ plan: Layout, _ base: UnsafeMutablePointer<Float>) -> [DenseLayer] {
        var inputs = ClampNet.flattened, x = base + plan.flat, dx = base + plan.dflat
        return zip(network.layers[Layer.fc1.rawValue...], plan.dense).map { layer, at in
            let dense = DenseLayer(
                layer: layer, inputs: inputs, units: network.units(layer), x: x, dx: dx,
                a: base + at.a, bounded: base + at.bounded, da: base + at.da)
            (inputs, x, dx) = (dense.units, dense.bounded, dense.da)
            return dense
        }
    }

    /// Logits of the first n images of `input`.
    public func forward(_ n: Int, _ parameters: Parameters, _ weights: PreparedWeights, _ bounds: Bounds) {
        WorkDone.count(n, thirds: 1)
        forEachPart(n, 0) { first, count in
            firstConvolution(first, count, parameters)
            convolve(first, count, a[0], bounds.pointer(.conv1), weights, parameters, .conv2)
            kernels.pool(a[1].from(first), bounds.pointer(.conv2), count, pooled[0].from(first).base, true)
        }
        forEachPart(n, 1) { first, count in
            convolve(first, count, pooled[0], noBound, weights, parameters, .conv3)
            convolve(first, count, a[2], bounds.pointer(.conv3), weights, parameters, .conv4)
            kernels.pool(a[3].from(first), bounds.pointer(.conv4), count, pooled[1].from(first).base, true)
        }
        forEachPart(n, 2) { first, count in
            convolve(first, count, pooled[1], noBound, weights, parameters, .conv5)
            convolve(first, count, a[4], bounds.pointer(.conv5), weights, parameters, .conv6)
            kernels.pool(a[5].from(first), bounds.pointer(.conv6), count, flat + first * ClampNet.flattened, false)
        }
        for layer in dense { forward(n, layer, parameters, bounds) }
        outputForward(n, parameters)
    }

    /// Adds to `gradient` what `logitGradient` implies, in the order opposite to `forward`. Without `weights` only the
    /// gradients of the bounds are complete: two thirds of the work. With `inputOf`, the parameters of the pass, the
    /// gradient of the input is written too.
    public func backward(
        _ n: Int, _ prepared: PreparedWeights, _ bounds: Bounds, _ gradient: Gradient, weights: Bool = true,
        inputOf parameters: Parameters? = nil
    ) {
        WorkDone.count(n, thirds: weights ? 2 : 1)
        let g = gradient.parameters.base
        func db(_ layer: Layer) -> UnsafeMutablePointer<Float> { g + network.bias(layer).offset }
        func dz(_ layer: Layer) -> UnsafeMutablePointer<Float> { gradient.bounds.base + network.boundOffset(layer) }
        outputBackward(n, prepared, gradient, weights)
        for layer in dense.reversed() { backward(n, layer, prepared, bounds, gradient, weights) }

        if let parameters { prepareInput(n, parameters) }
        forEachPart(n, 2) { first, count in
            let dy = dflat + first * ClampNet.flattened
            kernels.poolBackward(a[5].from(first), bounds.pointer(.conv6), count, dy, false, da[5], db(.conv6), dz(.conv6))
            convolveBackward(count, a[4].from(first), bounds.pointer(.conv5), .conv6, prepared, gradient, da[4], weights)
            kernels.boundBackward(a[4].from(first), bounds.pointer(.conv5), count, da[4], db(.conv5), dz(.conv5))
            convolveBackward(count, pooled[1].from(first), noBound, .conv5, prepared, gradient, dpooled[1].from(first), weights)
        }
        forEachPart(n, 1) { first, count in
            let dy = dpooled[1].from(first).base
            kernels.poolBackward(a[3].from(first), bounds.pointer(.conv4), count, dy, true, da[3], db(.conv4), dz(.conv4))
            convolveBackward(count, a[2].from(first), bounds.pointer(.conv3), .conv4, prepared, gradient, da[2], weights)
            kernels.boundBackward(a[2].from(first), bounds.pointer(.conv3), count, da[2], db(.conv3), dz(.conv3))
            convolveBackward(count, pooled[0].from(first), noBound, .conv3, prepared, gradient, dpooled[0].from(first), weights)
        }
        forEachPart(n, 0) { first, count in
            let dy = dpooled[0].from(first).base
            kernels.poolBackward(a[1].from(first), bounds.pointer(.conv2), count, dy, true, da[1], db(.conv2), dz(.conv2))
            convolveBackward(count, a[0].from(first), bounds.pointer(.conv1), .conv2, prepared, gradient, da[0], weights)
            kernels.boundBackward(a[0].from(first), bounds.pointer(.conv1), count, da[0], db(.conv1), dz(.conv1))
            if weights { firstConvolutionGradient(first, count, g) }
            if parameters != nil { firstConvolutionInput(first, count) }
        }
    }

    /// Runs of at most `together[stage]` images, in order.
    private func forEachPart(_ n: Int, _ stage: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
        var first = 0
        while first < n {
            let count = min(Workspace.together[stage], n - first)
            body(first, count)
            first += count
        }
    }

    /// Largest bounded activation of every channel or unit of image i, in the order of the bounds.
    public func maxima(_ i: Int, _ bounds: Bounds, into y: UnsafeMutablePointer<Float>) {
        for layer in Layer.convolutions {
            kernels.channelMaxima(a[layer.rawValue], bounds.pointer(layer), i, y + network.boundOffset(layer))
        }
        for layer in dense {
            (y + network.boundOffset(layer.layer)).update(from: layer.bounded + i * layer.units, count: layer.units)
        }
    }

    private func bias(_ parameters: Parameters, _ layer: Layer) -> UnsafeMutablePointer<Float> {
        parameters.base + network.bias(layer).offset
    }

    /// conv1 reads the image in place: row y, tap row ky is a run of 3 * channels floats for each pixel.
    private func firstConvolution(_ first: Int, _ n: Int, _ parameters: Parameters) {
        let c = network.channels, w = parameters.base + network.weight(.conv1).offset
        let taps = Operand(w, rowStride: 0, outerStride: 3 * c * 32, innerStride: 32)
        for image in first..<first + n {
            for y in 0..<32 {
                let pixels = Operand(input + image * network.inputFloats + y * 34 * c, rowStride: c, outerStride: 34 * c, innerStride: 1)
                let row = a[0].interior(image: image, block: 0) + y * a[0].rowFloats
                kernels.gemm(32, 3, 3 * c, pixels, taps, row, 32, false)
                kernels.biasRelu(row, 32, bias(parameters, .conv1))
            }
        }
    }

    private func firstConvolutionGradient(_ first: Int, _ n: Int, _ g: UnsafeMutablePointer<Float>) {
        let c = network.channels, dw = g + network.weight(.conv1).offset
        for image in first..<first + n {
            let dy = Operand(da[0].interior(image: image - first, block: 0), rowStride: 0, outerStride: da[0].rowFloats, innerStride: 32)
            for ky in 0..<3 {
                let x = Operand(input + image * network.inputFloats + ky * 34 * c, rowStride: 1, outerStride: 34 * c, innerStride: c)
                kernels.gemm(3 * c, 32, 32, x, dy, dw + ky * 3 * c * 32, 32, true)
            }
        }
    }

    /// The transposed taps of conv1, and zeros where `firstConvolutionInput` adds.
    private func prepareInput(_ n: Int, _ parameters: Parameters) {
        let c = network.channels, w = parameters.base + network.weight(.conv1).offset
        for tap in 0..<9 * c {
            for output in 0..<32 { taps[output * 32 + tap] = w[tap * 32 + output] }
        }
        for i in 0..<n * network.inputFloats { inputGradient[i] = 0 }
    }

    /// Gradient of the images: every pixel of da[0] times the transposed taps, added where the taps had read.
    private func firstConvolutionInput(_ first: Int, _ n: Int) {
        let c = network.channels, panel = Operand(taps, rowStride: 0, innerStride: 32)
        for image in first..<first + n {
            for y in 0..<32 {
                let row = Operand(da[0].interior(image: image - first, block: 0) + y * da[0].rowFloats, rowStride: 32, innerStride: 1)
                kernels.gemm(32, 1, 32, row, panel, tapGradients, 32, false)
                for ky in 0..<3 {
                    let target = inputGradient + image * network.inputFloats + (y + ky) * 34 * c
                    for x in 0..<32 {
                        for k in 0..<3 * c { target[x * c + k] += tapGradients[x * 32 + ky * 3 * c + k] }
                    }
                }
            }
        }
    }

    /// a[conv] = relu(conv(min(x, z)) + bias) by Winograd tiles, n images from `first` on.
    private func convolve(
        _ first: Int, _ n: Int, _ x: Maps, _ bound: UnsafePointer<Float>, _ weights: PreparedWeights, _ parameters: Parameters,
        _ conv: Layer
    ) {
        winograd(
            n, x.from(first), bound, weights.forward(conv), PreparedWeights.positionStride(network, conv), bias(parameters, conv),
            a[conv.rawValue].from(first))
    }

    private func winograd(
        _ n: Int, _ x: Maps, _ bound: UnsafePointer<Float>, _ u: UnsafeMutablePointer<Float>, _ uStride: Int,
        _ bias: UnsafePointer<Float>?, _ y: Maps
    ) {
        forEachGroup(n, x.side) { first, count in
            let v = Tiles(tilesIn, count: count, blocks: x.blocks), m = Tiles(tilesOut, count: count, blocks: y.blocks)
            kernels.tileInput(x, bound, first, v)
            product(v, u, uStride, m)
            kernels.tileOutput(m, bias, first, y)
        }
    }

    /// m(position) = v(position) u(position) for all 36.
    private func product(_ v: Tiles, _ u: UnsafePointer<Float>, _ uStride: Int, _ m: Tiles) {
        for p in 0..<36 {
            let rows = Operand(v.base + p * v.positionStride, rowStride: 32, outerStride: v.blockFloats, innerStride: 1)
            for block in 0..<m.blocks {
                let panel = Operand(u + p * uStride + block * v.blocks * 1024, rowStride: 0, outerStride: 1024, innerStride: 32)
                kernels.gemm(v.count, v.blocks, 32, rows, panel, m.base + p * m.positionStride + block * m.blockFloats, 32, false)
            }
        }
    }

    /// From da[conv]: the weight gradient in the Winograd domain, and the gradient of the layer's input into `dx`.
    private func convolveBackward(
        _ n: Int, _ x: Maps, _ bound: UnsafePointer<Float>, _ conv: Layer, _ prepared: PreparedWeights,
        _ gradient: Gradient, _ dx: Maps, _ weights: Bool
    ) {
        let stride = PreparedWeights.positionStride(network, conv)
        if weights {
            forEachGroup(n, x.side) { first, count in
                let v = Tiles(tilesIn, count: count, blocks: x.blocks), m = Tiles(tilesOut, count: count, blocks: da[conv.rawValue].blocks)
                kernels.tileInput(x, bound, first, v)
                kernels.tileGradient(da[conv.rawValue], first, m)
                outerProduct(v, m, gradient.tiles(conv), stride)
            }
        }
        winograd(n, da[conv.rawValue], noBound, prepared.backward(conv), stride, nil, dx)
    }

    /// du(position) += v(position)^T m(position) for all 36.
    private func outerProduct(_ v: Tiles, _ m: Tiles, _ du: UnsafeMutablePointer<Float>, _ duStride: Int) {
        for p in 0..<36 {
            for out in 0..<m.blocks {
                let columns = Operand(m.base + p * m.positionStride + out * m.blockFloats, rowStride: 0, innerStride: 32)
                for block in 0..<v.blocks {
                    let rows = Operand(v.base + p * v.positionStride + block * v.blockFloats, rowStride: 1, innerStride: 32)
                    kernels.gemm(32, 1, v.count, rows, columns, du + p * duStride + (out * v.blocks + block) * 1024, 32, true)
                }
            }
        }
    }

    private func forEachGroup(_ n: Int, _ side: Int, _ body: (_ first: Int, _ count: Int) -> Void) {
        let total = n * side * side / 16
        var first = 0
        while first < total {
            let count = min(Workspace.tileGroup, total - first)
            body(first, count)
            first += count
        }
    }
}

private extension Maps {
    /// The same maps from an image on.
    func from(_ image: Int) -> Maps { Maps(base + image * imageFloats, side: side, blocks: blocks) }
}
