import KernelTable

/// y = relu(x + bias) over `count` pixels of one block of channels, in place.
func biasRelu(_ x: UnsafeMutablePointer<Float>, _ count: Int, _ bias: UnsafePointer<Float>) {
    var lane = 0
    while lane < channelBlock {
        let b = load(bias + lane)
        for i in 0..<count {
            let p = x + i * channelBlock + lane
            store(vmax(load(p) + b, .zero), p)
        }
        lane += lanes
    }
}

/// y = min(x, z); `count` is a multiple of 32.
func clamp(_ x: UnsafePointer<Float>, _ z: UnsafePointer<Float>, _ count: Int, _ y: UnsafeMutablePointer<Float>) {
    var i = 0
    while i < count {
        store(vmin(load(x + i), load(z + i)), y + i)
        i += lanes
    }
}

/// SGD with momentum and weight decay as PyTorch does it; `count` is a multiple of 32. Clears the gradient.
func sgd(
    _ w: UnsafeMutablePointer<Float>, _ v: UnsafeMutablePointer<Float>, _ g: UnsafeMutablePointer<Float>, _ count: Int,
    _ rate: Float, _ momentum: Float, _ decay: Float
) {
    let rate = Vec(repeating: -rate), momentum = Vec(repeating: momentum), decay = Vec(repeating: decay)
    var i = 0
    while i < count {
        let old = load(w + i)
        let step = madd(madd(load(g + i), decay, old), momentum, load(v + i))
        store(step, v + i)
        store(madd(old, rate, step), w + i)
        store(.zero, g + i)
        i += lanes
    }
}

/// y += x; `count` is a multiple of 32.
func add(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ count: Int) {
    var i = 0
    while i < count {
        store(load(y + i) + load(x + i), y + i)
        i += lanes
    }
}

/// y(columns, rows) = x(rows, columns)^T, both dimensions multiples of 32; strides in floats. Tiles of 8 x 8 keep the
/// lines of both sides in the first-level cache.
func transpose(_ x: UnsafePointer<Float>, _ xStride: Int, _ y: UnsafeMutablePointer<Float>, _ yStride: Int, _ rows: Int, _ columns: Int) {
    var r = 0
    while r < rows {
        var c = 0
        while c < columns {
            for i in 0..<8 {
                for j in 0..<8 { y[(c + j) * yStride + r + i] = x[(r + i) * xStride + c + j] }
            }
            c += 8
        }
        r += 8
    }
}

/// Ten independent chains of multiply-adds: what the machine can do at most. Returns the floating-point operations.
func peak(_ iterations: Int) -> Int {
    var chains = InlineArray<10, Vec>(repeating: Vec(repeating: 1))
    let a = Vec(repeating: 0.999999), b = Vec(repeating: 1e-6)
    for _ in 0..<iterations {
        for i in 0..<10 { chains[unchecked: i] = madd(b, chains[unchecked: i], a) }
    }
    var sum = Vec.zero
    for i in 0..<10 { sum += chains[unchecked: i] }
    return iterations * 10 * 2 * lanes + (sum[0] > 1e30 ? 1 : 0)
}
