import KernelTable

/// The dense layers: products of rows with panels of 32 units.
extension Workspace {
    /// bounded = min(relu(x W + b), z).
    func forward(_ n: Int, _ dense: DenseLayer, _ parameters: Parameters, _ bounds: Bounds) {
        let weight = network.weight(dense.layer), bias = parameters.base + network.bias(dense.layer).offset
        let panels = dense.units / 32, z = bounds.pointer(dense.layer)
        product(n, dense.x, dense.inputs, parameters.base + weight.offset, dense.a, dense.units)
        for block in 0..<panels * n { kernels.biasRelu(dense.a + block * 32, 1, bias + block % panels * 32) }
        for i in 0..<n { kernels.clamp(dense.a + i * dense.units, z, dense.units, dense.bounded + i * dense.units) }
    }

    /// From da, which becomes the gradient of the sums: the gradients of bias, bounds and weights, and dx.
    func backward(
        _ n: Int, _ dense: DenseLayer, _ prepared: PreparedWeights, _ bounds: Bounds, _ gradient: Gradient,
        _ weights: Bool
    ) {
        let g = gradient.parameters.base
        boundBackward(
            n, dense, bounds.pointer(dense.layer), db: g + network.bias(dense.layer).offset,
            dz: gradient.bounds.base + network.boundOffset(dense.layer))
        let dw = g + network.weight(dense.layer).offset
        if weights { weightGradient(n, dense.x, dense.inputs, dense.da, dense.units, dw) }
        product(n, dense.da, dense.units, prepared.transposed(dense.layer), dense.dx, dense.inputs)
    }

    /// fc2, without ReLU or bound.
    func outputForward(_ n: Int, _ parameters: Parameters) {
        let (weight, bias) = network.output, last = dense[dense.count - 1], stride = network.logitStride
        product(n, last.bounded, last.units, parameters.base + weight.offset, logits, stride)
        for i in 0..<n { kernels.add(logits + i * stride, parameters.base + bias.offset, stride) }
    }

    func outputBackward(_ n: Int, _ prepared: PreparedWeights, _ gradient: Gradient, _ weights: Bool) {
        let (weight, bias) = network.output, last = dense[dense.count - 1], stride = network.logitStride
        let g = gradient.parameters.base
        if weights {
            for i in 0..<n { kernels.add(g + bias.offset, logitGradient + i * stride, stride) }
            weightGradient(n, last.bounded, last.units, logitGradient, stride, g + weight.offset)
        }
        product(n, logitGradient, stride, prepared.outputTransposed, last.da, last.units)
    }

    /// Bound and ReLU, in place in da.
    private func boundBackward(
        _ n: Int, _ dense: DenseLayer, _ z: UnsafePointer<Float>,
        db: UnsafeMutablePointer<Float>, dz: UnsafeMutablePointer<Float>
    ) {
        for image in 0..<n {
            for unit in 0..<dense.units {
                let at = image * dense.units + unit, value = dense.a[at], d = dense.da[at]
                let cut = value > z[unit]
                dense.da[at] = value > 0 && !cut ? d : 0
                dz[unit] += cut ? d : 0
                db[unit] += dense.da[at]
            }
        }
    }

    /// y (n, outputs) = x (n, inputs) W, W in panels of 32 outputs.
    private func product(
        _ n: Int, _ x: UnsafeMutablePointer<Float>, _ inputs: Int, _ w: UnsafeMutablePointer<Float>,
        _ y: UnsafeMutablePointer<Float>, _ outputs: Int
    ) {
        let rows = Operand(x, rowStride: inputs, innerStride: 1)
        for block in 0..<outputs / 32 {
            let panel = Operand(w + block * inputs * 32, rowStride: 0, innerStride: 32)
            kernels.gemm(n, 1, inputs, rows, panel, y + block * 32, outputs, false)
        }
    }

    /// dW (inputs, outputs) += x^T dy, in panels of 32 outputs.
    private func weightGradient(
        _ n: Int, _ x: UnsafeMutablePointer<Float>, _ inputs: Int,
        _ dy: UnsafeMutablePointer<Float>, _ outputs: Int, _ dw: UnsafeMutablePointer<Float>
    ) {
        let rows = Operand(x, rowStride: 1, innerStride: inputs)
        for block in 0..<outputs / 32 {
            let columns = Operand(dy + block * 32, rowStride: 0, innerStride: outputs)
            kernels.gemm(inputs, 1, n, rows, columns, dw + block * inputs * 32, 32, true)
        }
    }
}
