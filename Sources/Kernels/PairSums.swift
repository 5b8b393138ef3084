import KernelTable

// Sums over pairs of vectors in double, as the rules before aggregation compare models. A sum runs in eight interleaved parts, each
// multiplied and added apart (never fused), so that every instruction set gives the same bits.
//
// Register budget (one vector of parts at a time):         sums   + b + a broadcast over three columns
//   AVX-512, NEON: 32 registers, tile 8 x 3 vectors         24      3   1
//   AVX2, SSE2:    16 registers, tile 4 x 3 vectors         12      3   1
#if ISA_AVX512
    typealias Wide = SIMD8<Double>
#elseif ISA_AVX2
    typealias Wide = SIMD4<Double>
#else
    typealias Wide = SIMD2<Double>
#endif
#if ISA_AVX512 || arch(arm64)
    private typealias FullTile = InlineArray<8, Wide>
#else
    private typealias FullTile = InlineArray<4, Wide>
#endif
private let wideLanes = Wide.scalarCount

/// Floats of x as doubles, less those of `origin`, into row `row` of y: (8 / lanes, strip rows, groups, lanes). Part k % 8 of a sum reads
/// number k.
func widen(
    _ x: UnsafePointer<Float>, _ origin: UnsafePointer<Float>?, _ groups: Int, _ y: UnsafeMutablePointer<Double>, _ row: Int, _ strip: Int
) {
    for part in 0..<8 / wideLanes {
        let target = y + (part * strip + row) * groups * wideLanes, from = part * wideLanes
        for group in 0..<groups {
            var wide = wideLoad(x + (group * 8 + from))
            if let origin { wide -= wideLoad(origin + (group * 8 + from)) }
            wideStore(wide, target + group * wideLanes)
        }
    }
}

/// sums(i, j, 8) += a(i) * b(j) for the pairs of `rows` and `columns` widened vectors; where `lower`, of those with j <= i, and perhaps
/// of others. Both operands are as `widen` leaves them. Rows and columns are there, and sums too, up to multiples of 8 and 3.
func pairProducts(
    _ a: UnsafePointer<Double>, _ rows: Int, _ b: UnsafePointer<Double>, _ columns: Int, _ lower: Bool, _ groups: Int, _ strip: Int,
    _ sums: UnsafeMutablePointer<Double>, _ sumStride: Int
) {
    forEachTile(a, rows, b, columns, lower, groups, strip, sums, sumStride, addProduct)
}

/// The same with sums(i, j, 8) += (a(i) - b(j))^2.
func pairDistances(
    _ a: UnsafePointer<Double>, _ rows: Int, _ b: UnsafePointer<Double>, _ columns: Int, _ lower: Bool, _ groups: Int, _ strip: Int,
    _ sums: UnsafeMutablePointer<Double>, _ sumStride: Int
) {
    forEachTile(a, rows, b, columns, lower, groups, strip, sums, sumStride, addSquare)
}

@_transparent
private func addProduct(_ sum: Wide, _ a: Wide, _ b: Wide) -> Wide { sum + a * b }

@_transparent
private func addSquare(_ sum: Wide, _ a: Wide, _ b: Wide) -> Wide {
    let d = a - b
    return sum + d * d
}

@inline(__always)
private func forEachTile(
    _ a: UnsafePointer<Double>, _ rows: Int, _ b: UnsafePointer<Double>, _ columns: Int, _ lower: Bool, _ groups: Int, _ strip: Int,
    _ sums: UnsafeMutablePointer<Double>, _ sumStride: Int, _ term: (_ sum: Wide, _ a: Wide, _ b: Wide) -> Wide
) {
    let step = groups * wideLanes, partStride = strip * step
    for part in 0..<8 / wideLanes {
        let a = a + part * partStride, b = b + part * partStride, sums = sums + part * wideLanes
        var i = 0
        while i < rows {
            let height = rows - i > 4 ? FullTile.count : 4, end = lower ? min(columns, i + height) : columns
            var j = 0
            while j < end {
                let x = a + i * step, y = b + j * step, out = sums + i * sumStride + j * 8
                if height == FullTile.count {
                    tile(FullTile(repeating: .zero), x, y, step, out, sumStride, term)
                } else {
                    tile(InlineArray<4, Wide>(repeating: .zero), x, y, step, out, sumStride, term)
                }
                j += 3
            }
            i += height
        }
    }
}

/// R rows and three columns.
@inline(__always)
private func tile<let R: Int>(
    _ zero: InlineArray<R, Wide>, _ a: UnsafePointer<Double>, _ b: UnsafePointer<Double>, _ step: Int,
    _ sums: UnsafeMutablePointer<Double>, _ sumStride: Int, _ term: (_ sum: Wide, _ a: Wide, _ b: Wide) -> Wide
) {
    var s0 = zero, s1 = zero, s2 = zero
    for r in 0..<R {
        let sum = sums + r &* sumStride
        s0[unchecked: r] = wide(sum)
        s1[unchecked: r] = wide(sum + 8)
        s2[unchecked: r] = wide(sum + 16)
    }
    var k = 0
    while k < step {
        let b0 = wide(b + k), b1 = wide(b + (step &+ k)), b2 = wide(b + (2 &* step &+ k))
        for r in 0..<R {
            let x = wide(a + (r &* step &+ k))
            s0[unchecked: r] = term(s0[unchecked: r], x, b0)
            s1[unchecked: r] = term(s1[unchecked: r], x, b1)
            s2[unchecked: r] = term(s2[unchecked: r], x, b2)
        }
        k += wideLanes
    }
    for r in 0..<R {
        let sum = sums + r &* sumStride
        wideStore(s0[unchecked: r], sum)
        wideStore(s1[unchecked: r], sum + 8)
        wideStore(s2[unchecked: r], sum + 16)
    }
}

@_transparent
private func wide(_ p: UnsafePointer<Double>) -> Wide { UnsafeRawPointer(p).assumingMemoryBound(to: Wide.self).pointee }

@_transparent
private func wideStore(_ v: Wide, _ p: UnsafeMutablePointer<Double>) {
    UnsafeMutableRawPointer(p).assumingMemoryBound(to: Wide.self).pointee = v
}

/// As many floats as a vector of doubles has numbers.
@_transparent
private func wideLoad(_ p: UnsafePointer<Float>) -> Wide {
    var wide = Wide.zero
    for lane in 0..<wideLanes { wide[lane] = Double(p[lane]) }
    return wide
}
