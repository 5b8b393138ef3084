import KernelTable

// Winograd's F(4x4, 3x3) (Lavin and Gray 2016): a 4x4 tile of outputs from a 6x6 tile of inputs with 36 products per pair
// of channels instead of 144. Interpolation points 0, 1, -1, 2, -2 and infinity:
//
//         4  0 -5  0  1  0            1/4     0     0
//         0 -4 -4  1  1  0           -1/6  -1/6  -1/6          1  1  1  1  1  0
//   B^T = 0  4 -4 -1  1  0      G =  -1/6   1/6  -1/6    A^T = 0  1 -1  2 -2  0
//         0 -2 -1  2  1  0           1/24  1/12   1/6          0  1  1  4  4  0
//         0  2 -1 -2  1  0           1/24 -1/12   1/6          0  1 -1  8 -8  1
//         0  4  0 -5  0  1             0     0     1
//
// Y = A^T [(G g G^T) * (B^T d B)] A. Every transform is its 1-D form applied to the columns, then to the rows.
private typealias Six = (Vec, Vec, Vec, Vec, Vec, Vec)
private typealias Four = (Vec, Vec, Vec, Vec)

@_transparent
private func inputTransform(_ d: Six) -> Six {
    let s12 = d.4 - 4 * d.2, s34 = d.3 - 4 * d.1  // rows 1 and 2: (d4 - 4 d2) +- (d3 - 4 d1)
    let t12 = d.4 - d.2, t34 = 2 * (d.3 - d.1)  // rows 3 and 4: (d4 - d2) +- 2 (d3 - d1)
    return (4 * d.0 - 5 * d.2 + d.4, s12 + s34, s12 - s34, t12 + t34, t12 - t34, 4 * d.1 - 5 * d.3 + d.5)
}

@_transparent
private func outputTransform(_ m: Six) -> Four {
    let s12 = m.1 + m.2, d12 = m.1 - m.2, s34 = m.3 + m.4, d34 = m.3 - m.4
    return (m.0 + s12 + s34, d12 + 2 * d34, s12 + 4 * s34, d12 + 8 * d34 + m.5)
}

/// A y: the adjoint of `outputTransform`.
@_transparent
private func outputAdjoint(_ y: Four) -> Six {
    let even = y.0 + y.2, odd = y.1 + y.3, even4 = y.0 + 4 * y.2, odd4 = 2 * y.1 + 8 * y.3
    return (y.0, even + odd, even - odd, even4 + odd4, even4 - odd4, y.3)
}

@_transparent
private func weightTransform(_ g: (Vec, Vec, Vec)) -> Six {
    let e = (g.0 + g.2) * Vec(repeating: -1 / 6), o = g.1 * Vec(repeating: 1 / 6)
    let f = g.0 * Vec(repeating: 1 / 24) + g.2 * Vec(repeating: 1 / 6), h = g.1 * Vec(repeating: 1 / 12)
    return (g.0 * Vec(repeating: 0.25), e - o, e + o, f + h, f - h, g.2)
}

/// G^T u: the adjoint of `weightTransform`.
@_transparent
private func weightAdjoint(_ u: Six) -> (Vec, Vec, Vec) {
    let s12 = (u.1 + u.2) * Vec(repeating: -1 / 6), s34 = u.3 + u.4
    let d21 = (u.2 - u.1) * Vec(repeating: 1 / 6), d34 = (u.3 - u.4) * Vec(repeating: 1 / 12)
    return (
        u.0 * Vec(repeating: 0.25) + s12 + s34 * Vec(repeating: 1 / 24), d21 + d34,
        s12 + s34 * Vec(repeating: 1 / 6) + u.5
    )
}

/// First float of the tile's 4x4 outputs in block 0.
@_transparent
private func tileOrigin(_ maps: Maps, _ tile: Int) -> UnsafeMutablePointer<Float> {
    let across = maps.side / 4
    let image = tile / (across * across), place = tile % (across * across)
    return maps.interior(image: image, block: 0) + (place / across * 4) * maps.rowFloats + (place % across * 4) * channelBlock
}

func tileInput(_ maps: Maps, _ bound: UnsafePointer<Float>, _ first: Int, _ tiles: Tiles) {
    let row = maps.rowFloats, step = tiles.positionStride
    for t in 0..<tiles.count {
        let origin = tileOrigin(maps, first + t) - row - channelBlock
        for block in 0..<maps.blocks {
            let source = origin + block * maps.blockFloats
            let target = tiles.base + block * tiles.blockFloats + t * channelBlock
            var lane = 0
            while lane < channelBlock {
                let p = source + lane, z = load(bound + block * channelBlock + lane)
                inputRows(
                    inputTransform(cut(p, row, z)), inputTransform(cut(p + channelBlock, row, z)),
                    inputTransform(cut(p + 2 * channelBlock, row, z)), inputTransform(cut(p + 3 * channelBlock, row, z)),
                    inputTransform(cut(p + 4 * channelBlock, row, z)), inputTransform(cut(p + 5 * channelBlock, row, z)),
                    target + lane, step)
                lane += lanes
            }
        }
    }
}

/// Second half of the input transform, along the rows; c0 to c5 are the transformed columns.
@_transparent
private func inputRows(
    _ c0: Six, _ c1: Six, _ c2: Six, _ c3: Six, _ c4: Six, _ c5: Six,
    _ p: UnsafeMutablePointer<Float>, _ step: Int
) {
    store6(inputTransform((c0.0, c1.0, c2.0, c3.0, c4.0, c5.0)), p, step)
    store6(inputTransform((c0.1, c1.1, c2.1, c3.1, c4.1, c5.1)), p + 6 * step, step)
    store6(inputTransform((c0.2, c1.2, c2.2, c3.2, c4.2, c5.2)), p + 12 * step, step)
    store6(inputTransform((c0.3, c1.3, c2.3, c3.3, c4.3, c5.3)), p + 18 * step, step)
    store6(inputTransform((c0.4, c1.4, c2.4, c3.4, c4.4, c5.4)), p + 24 * step, step)
    store6(inputTransform((c0.5, c1.5, c2.5, c3.5, c4.5, c5.5)), p + 30 * step, step)
}

func tileOutput(_ tiles: Tiles, _ bias: UnsafePointer<Float>?, _ first: Int, _ maps: Maps) {
    let row = maps.rowFloats, step = tiles.positionStride
    for t in 0..<tiles.count {
        let origin = tileOrigin(maps, first + t)
        for block in 0..<maps.blocks {
            let target = origin + block * maps.blockFloats
            var lane = 0
            while lane < channelBlock {
                let p = tiles.base + block * tiles.blockFloats + t * channelBlock + lane
                let c0 = outputTransform(load6(p, 6 * step)), c1 = outputTransform(load6(p + step, 6 * step))
                let c2 = outputTransform(load6(p + 2 * step, 6 * step)), c3 = outputTransform(load6(p + 3 * step, 6 * step))
                let c4 = outputTransform(load6(p + 4 * step, 6 * step)), c5 = outputTransform(load6(p + 5 * step, 6 * step))
                let b = bias.map { load($0 + block * channelBlock + lane) }
                outputRow((c0.0, c1.0, c2.0, c3.0, c4.0, c5.0), b, target + lane)
                outputRow((c0.1, c1.1, c2.1, c3.1, c4.1, c5.1), b, target + row + lane)
                outputRow((c0.2, c1.2, c2.2, c3.2, c4.2, c5.2), b, target + 2 * row + lane)
                outputRow((c0.3, c1.3, c2.3, c3.3, c4.3, c5.3), b, target + 3 * row + lane)
                lane += lanes
            }
        }
    }
}

@_transparent
private func outputRow(_ m: Six, _ bias: Vec?, _ p: UnsafeMutablePointer<Float>) {
    let y = outputTransform(m)
    if let bias {
        store4((relu(y.0 + bias), relu(y.1 + bias), relu(y.2 + bias), relu(y.3 + bias)), p, channelBlock)
    } else {
        store4(y, p, channelBlock)
    }
}

func tileGradient(_ maps: Maps, _ first: Int, _ tiles: Tiles) {
    let row = maps.rowFloats, step = tiles.positionStride
    for t in 0..<tiles.count {
        let origin = tileOrigin(maps, first + t)
        for block in 0..<maps.blocks {
            var lane = 0
            while lane < channelBlock {
                let y = origin + block * maps.blockFloats + lane
                let p = tiles.base + block * tiles.blockFloats + t * channelBlock + lane
                let c0 = outputAdjoint(load4(y, row)), c1 = outputAdjoint(load4(y + channelBlock, row))
                let c2 = outputAdjoint(load4(y + 2 * channelBlock, row)), c3 = outputAdjoint(load4(y + 3 * channelBlock, row))
                store6(outputAdjoint((c0.0, c1.0, c2.0, c3.0)), p, step)
                store6(outputAdjoint((c0.1, c1.1, c2.1, c3.1)), p + 6 * step, step)
                store6(outputAdjoint((c0.2, c1.2, c2.2, c3.2)), p + 12 * step, step)
                store6(outputAdjoint((c0.3, c1.3, c2.3, c3.3)), p + 18 * step, step)
                store6(outputAdjoint((c0.4, c1.4, c2.4, c3.4)), p + 24 * step, step)
                store6(outputAdjoint((c0.5, c1.5, c2.5, c3.5)), p + 30 * step, step)
                lane += lanes
            }
        }
    }
}

func weightTiles(_ w: UnsafePointer<Float>, _ tapStride: Int, _ floats: Int, _ u: UnsafeMutablePointer<Float>, _ positionStride: Int) {
    let step = positionStride
    var i = 0
    while i < floats {
        let p = w + i, q = u + i
        let c0 = weightTransform(load3(p, 3 * tapStride)), c1 = weightTransform(load3(p + tapStride, 3 * tapStride))
        let c2 = weightTransform(load3(p + 2 * tapStride, 3 * tapStride))
        store6(weightTransform((c0.0, c1.0, c2.0)), q, step)
        store6(weightTransform((c0.1, c1.1, c2.1)), q + 6 * step, step)
        store6(weightTransform((c0.2, c1.2, c2.2)), q + 12 * step, step)
        store6(weightTransform((c0.3, c1.3, c2.3)), q + 18 * step, step)
        store6(weightTransform((c0.4, c1.4, c2.4)), q + 24 * step, step)
        store6(weightTransform((c0.5, c1.5, c2.5)), q + 30 * step, step)
        i += lanes
    }
}

func weightGradient(_ du: UnsafePointer<Float>, _ positionStride: Int, _ floats: Int, _ dw: UnsafeMutablePointer<Float>, _ tapStride: Int) {
    let step = positionStride
    var i = 0
    while i < floats {
        let p = du + i, q = dw + i
        let c0 = weightAdjoint(load6(p, 6 * step)), c1 = weightAdjoint(load6(p + step, 6 * step))
        let c2 = weightAdjoint(load6(p + 2 * step, 6 * step)), c3 = weightAdjoint(load6(p + 3 * step, 6 * step))
        let c4 = weightAdjoint(load6(p + 4 * step, 6 * step)), c5 = weightAdjoint(load6(p + 5 * step, 6 * step))
        add3(weightAdjoint((c0.0, c1.0, c2.0, c3.0, c4.0, c5.0)), q, tapStride)
        add3(weightAdjoint((c0.1, c1.1, c2.1, c3.1, c4.1, c5.1)), q + 3 * tapStride, tapStride)
        add3(weightAdjoint((c0.2, c1.2, c2.2, c3.2, c4.2, c5.2)), q + 6 * tapStride, tapStride)
        i += lanes
    }
}

@_transparent
private func add3(_ g: (Vec, Vec, Vec), _ p: UnsafeMutablePointer<Float>, _ step: Int) {
    store(load(p) + g.0, p); store(load(p + step) + g.1, p + step); store(load(p + 2 * step) + g.2, p + 2 * step)
}

/// Six rows of one column under the bound.
@_transparent
private func cut(_ p: UnsafePointer<Float>, _ row: Int, _ z: Vec) -> Six {
    let d = load6(p, row)
    return (vmin(d.0, z), vmin(d.1, z), vmin(d.2, z), vmin(d.3, z), vmin(d.4, z), vmin(d.5, z))
}

@_transparent
private func relu(_ v: Vec) -> Vec { vmax(v, .zero) }

// Vectors of a transform, `step` floats apart.

@_transparent
private func load3(_ p: UnsafePointer<Float>, _ step: Int) -> (Vec, Vec, Vec) { (load(p), load(p + step), load(p + 2 * step)) }

@_transparent
private func load4(_ p: UnsafePointer<Float>, _ step: Int) -> Four { (load(p), load(p + step), load(p + 2 * step), load(p + 3 * step)) }

@_transparent
private func load6(_ p: UnsafePointer<Float>, _ step: Int) -> Six {
    (load(p), load(p + step), load(p + 2 * step), load(p + 3 * step), load(p + 4 * step), load(p + 5 * step))
}

@_transparent
private func store4(_ v: Four, _ p: UnsafeMutablePointer<Float>, _ step: Int) {
    store(v.0, p); store(v.1, p + step); store(v.2, p + 2 * step); store(v.3, p + 3 * step)
}

@_transparent
private func store6(_ v: Six, _ p: UnsafeMutablePointer<Float>, _ step: Int) {
    store(v.0, p); store(v.1, p + step); store(v.2, p + 2 * step)
    store(v.3, p + 3 * step); store(v.4, p + 4 * step); store(v.5, p + 5 * step)
}
