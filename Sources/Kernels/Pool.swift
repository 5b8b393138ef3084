import KernelTable

// Pooling, bound and ReLU. Buffers hold a = relu(conv + bias), before the bound: whoever reads takes min(a, z). So the
// backward pass still knows whether a > z (the gradient goes to z) or a <= z (it goes to a).

/// The four values of a 2x2 window at `p`, row by row, under the bound.
@_transparent
private func window(_ p: UnsafeMutablePointer<Float>, _ row: Int, _ z: Vec) -> (Vec, Vec, Vec, Vec) {
    (vmin(load(p), z), vmin(load(p + channelBlock), z), vmin(load(p + row), z), vmin(load(p + row + channelBlock), z))
}

/// Offsets of a pooled tensor: with a border like `Maps`, or dense.
@_transparent
private func pooledLayout(_ side: Int, _ border: Bool) -> (row: Int, block: Int, first: Int) {
    let width = border ? side + 2 : side
    return (width * channelBlock, width * width * channelBlock, border ? (width + 1) * channelBlock : 0)
}

func pool(_ maps: Maps, _ bound: UnsafePointer<Float>, _ images: Int, _ y: UnsafeMutablePointer<Float>, _ border: Bool) {
    let half = maps.side / 2, row = maps.rowFloats, out = pooledLayout(half, border)
    for n in 0..<images {
        for block in 0..<maps.blocks {
            let source = maps.interior(image: n, block: block)
            let target = y + (n * maps.blocks + block) * out.block + out.first
            var lane = 0
            while lane < channelBlock {
                let z = load(bound + block * channelBlock + lane)
                for i in 0..<half {
                    for j in 0..<half {
                        let w = window(source + 2 * i * row + 2 * j * channelBlock + lane, row, z)
                        store(vmax(vmax(w.3, w.2), vmax(w.1, w.0)), target + i * out.row + j * channelBlock + lane)
                    }
                }
                lane += lanes
            }
        }
    }
}

func poolBackward(
    _ maps: Maps, _ bound: UnsafePointer<Float>, _ images: Int, _ dy: UnsafePointer<Float>, _ border: Bool,
    _ da: Maps, _ db: UnsafeMutablePointer<Float>, _ dz: UnsafeMutablePointer<Float>
) {
    let half = maps.side / 2, row = maps.rowFloats, from = pooledLayout(half, border)
    for n in 0..<images {
        for block in 0..<maps.blocks {
            let gradient = dy + (n * maps.blocks + block) * from.block + from.first
            var lane = 0
            while lane < channelBlock {
                let channel = block * channelBlock + lane
                let source = maps.interior(image: n, block: block) + lane, target = da.interior(image: n, block: block) + lane
                let z = load(bound + channel)
                var sumB = Vec.zero, sumZ = Vec.zero
                for i in 0..<half {
                    for j in 0..<half {
                        let at = 2 * i * row + 2 * j * channelBlock
                        let w = window(source + at, row, z)
                        let g = load(gradient + i * from.row + j * channelBlock + lane)
                        let top = vmax(vmax(w.3, w.2), vmax(w.1, w.0))
                        // The first of the window, in row order, that attains the maximum takes the gradient.
                        let is0 = w.0 .== top, is1 = (w.1 .== top) .& .!is0
                        let is01 = is0 .| is1, is2 = (w.2 .== top) .& .!is01
                        let is3 = .!(is01 .| is2)
                        let g0 = Vec.zero.replacing(with: g, where: is0), g1 = Vec.zero.replacing(with: g, where: is1)
                        let g2 = Vec.zero.replacing(with: g, where: is2), g3 = Vec.zero.replacing(with: g, where: is3)
                        through(g0, source + at, target + at, z, &sumB, &sumZ)
                        through(g1, source + at + channelBlock, target + at + channelBlock, z, &sumB, &sumZ)
                        through(g2, source + at + row, target + at + row, z, &sumB, &sumZ)
                        through(g3, source + at + row + channelBlock, target + at + row + channelBlock, z, &sumB, &sumZ)
                    }
                }
                store(load(db + channel) + sumB, db + channel)
                store(load(dz + channel) + sumZ, dz + channel)
                lane += lanes
            }
        }
    }
}

/// One vector of gradients back through min(relu(.), z).
@_transparent
private func through(
    _ g: Vec, _ a: UnsafeMutablePointer<Float>, _ da: UnsafeMutablePointer<Float>, _ z: Vec,
    _ sumB: inout Vec, _ sumZ: inout Vec
) {
    let a = load(a)
    let cut = a .> z
    let kept = Vec.zero.replacing(with: g, where: (a .> Vec.zero) .& .!cut)
    sumB += kept
    sumZ += Vec.zero.replacing(with: g, where: cut)
    store(kept, da)
}

func boundBackward(
    _ maps: Maps, _ bound: UnsafePointer<Float>, _ images: Int, _ da: Maps,
    _ db: UnsafeMutablePointer<Float>, _ dz: UnsafeMutablePointer<Float>
) {
    for n in 0..<images {
        for block in 0..<maps.blocks {
            var lane = 0
            while lane < channelBlock {
                let channel = block * channelBlock + lane
                let source = maps.interior(image: n, block: block) + lane, target = da.interior(image: n, block: block) + lane
                let z = load(bound + channel)
                var sumB = Vec.zero, sumZ = Vec.zero
                for i in 0..<maps.side {
                    for j in 0..<maps.side {
                        let at = i * maps.rowFloats + j * channelBlock
                        through(load(target + at), source + at, target + at, z, &sumB, &sumZ)
                    }
                }
                store(load(db + channel) + sumB, db + channel)
                store(load(dz + channel) + sumZ, dz + channel)
                lane += lanes
            }
        }
    }
}

func channelMaxima(_ maps: Maps, _ bound: UnsafePointer<Float>, _ image: Int, _ y: UnsafeMutablePointer<Float>) {
    for block in 0..<maps.blocks {
        var lane = 0
        while lane < channelBlock {
            let channel = block * channelBlock + lane, source = maps.interior(image: image, block: block) + lane
            var top = Vec.zero
            for i in 0..<maps.side {
                for j in 0..<maps.side { top = vmax(load(source + i * maps.rowFloats + j * channelBlock), top) }
            }
            store(vmin(top, load(bound + channel)), y + channel)
            lane += lanes
        }
    }
}
