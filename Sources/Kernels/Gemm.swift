import KernelTable

// C(rows, 32) (+)= A(rows, k) B(k, 32): every matrix product of ClampNet goes through this one loop.
//
// Register budget (two vectors of columns at a time):   accumulators  + B  + A broadcast
//   AVX-512, NEON: 32 registers, tile 8 x 2 vectors         16           2    1 (folded into the multiply-add)
//   AVX2:          16 registers, tile 6 x 2 vectors         12           2    1
//   SSE2:          16 registers, tile 6 x 2 vectors         12           2    1
// Rows that are left take the tiles of 4 and of 1 row. Of 32, the rows of nearly every product, tiles of 6 leave 8, two of 4: after a
// fifth tile of 6 two single rows would wait for their own sums, 4 cycles for every 2 multiply-adds.
#if ISA_AVX512 || arch(arm64)
    private typealias FullTile = InlineArray<8, Vec>
#else
    private typealias FullTile = InlineArray<6, Vec>
#endif

func gemm(
    _ rows: Int, _ outer: Int, _ inner: Int, _ a: Operand, _ b: Operand,
    _ c: UnsafeMutablePointer<Float>, _ cStride: Int, _ accumulate: Bool
) {
    var column = 0
    while column < channelBlock {
        var r = 0
        var b = b
        b.base += column
        while r + FullTile.count <= rows, FullTile.count == 8 || rows - r != 8 {
            tile(FullTile(repeating: .zero), outer, inner, a, r, b, c + r * cStride + column, cStride, accumulate)
            r += FullTile.count
        }
        while r + 4 <= rows {
            tile(InlineArray<4, Vec>(repeating: .zero), outer, inner, a, r, b, c + r * cStride + column, cStride, accumulate)
            r += 4
        }
        while r < rows {
            tile(InlineArray<1, Vec>(repeating: .zero), outer, inner, a, r, b, c + r * cStride + column, cStride, accumulate)
            r += 1
        }
        column += 2 * lanes
    }
}

/// The loop itself, over tiles of R rows and two vectors of columns. Always inlined: a specialisation of its own would
/// be a weak symbol.
@inline(__always)
private func tile<let R: Int>(
    _ zero: InlineArray<R, Vec>, _ outer: Int, _ inner: Int, _ a: Operand, _ row: Int, _ b: Operand,
    _ c: UnsafeMutablePointer<Float>, _ cStride: Int, _ accumulate: Bool
) {
    var lo = zero, hi = zero
    let rowStride = a.rowStride, aStep = a.innerStride, bStep = b.innerStride
    for o in 0..<outer {
        var pa = a.base + row * rowStride + o * a.outerStride
        var pb = b.base + o * b.outerStride
        for _ in 0..<inner {
            let b0 = load(pb), b1 = load(pb + lanes)
            for r in 0..<R {
                let v = Vec(repeating: pa[r &* rowStride])
                lo[unchecked: r] = madd(lo[unchecked: r], v, b0)
                hi[unchecked: r] = madd(hi[unchecked: r], v, b1)
            }
            pa += aStep
            pb += bStep
        }
    }
    for r in 0..<R {
        let out = c + r &* cStride
        store(accumulate ? load(out) + lo[unchecked: r] : lo[unchecked: r], out)
        store(accumulate ? load(out + lanes) + hi[unchecked: r] : hi[unchecked: r], out + lanes)
    }
}
