import GoldenInputs
import KernelTable
import Testing
@testable import Network

/// Kernels over feature maps, for every number of tiles up to one group and one more, with guard words: Winograd's
/// transforms against their matrices in double, pools and bounds against plain loops.
@Suite struct MapKernelTests {
    static let sets = InstructionSet.available
    static let bt: [[Double]] = [
        [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
    ]
    static let g: [[Double]] = [
        [0.25, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1],
    ]
    static let at: [[Double]] = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    /// (images, side, blocks): one tile, tiles in rows, the network's own.
    static let shapes = [(1, 4, 1), (2, 4, 2), (3, 8, 1), (1, 8, 2), (2, 16, 2), (1, 32, 1)]

    /// M d M^T of a square d, with the sum of the magnitudes that went in.
    static func sandwich(_ m: [[Double]], _ d: (Int, Int) -> Double) -> [[(Double, Double)]] {
        m.map { row in
            m.map { column in
                var sum = 0.0, size = 0.0
                for i in row.indices {
                    for j in column.indices where row[i] != 0 && column[j] != 0 {
                        sum += row[i] * column[j] * d(i, j)
                        size += abs(row[i] * column[j] * d(i, j))
                    }
                }
                return (sum, size)
            }
        }
    }

    static func transposed(_ m: [[Double]]) -> [[Double]] { m[0].indices.map { j in m.map { $0[j] } } }

    static func maps(_ shape: (Int, Int, Int), _ value: (Int) -> Float) -> (Guarded, Maps) {
        let (images, side, blocks) = shape, wide = side + 2
        let memory = Guarded(images * blocks * wide * wide * 32) { i in
            let x = i / 32 % wide, y = i / 32 / wide % wide
            return x == 0 || y == 0 || x > side || y > side ? 0 : value(i)
        }
        return (memory, Maps(memory.base, side: side, blocks: blocks))
    }

    /// Offset of the pixel before tile `tile`'s first output, in the border or the neighbouring tile.
    static func corner(_ maps: Maps, _ tile: Int, _ block: Int) -> Int {
        let across = maps.side / 4, image = tile / (across * across), place = tile % (across * across)
        return image * maps.imageFloats + block * maps.blockFloats + place / across * 4 * maps.rowFloats + place % across * 4 * 32
    }

    static func expect(_ found: Float, _ wanted: (Double, Double), _ what: @autoclosure () -> String) {
        if !(abs(Double(found) - wanted.0) <= 16 * 0x1p-24 * wanted.1) { Issue.record("\(what()): \(found), expected \(wanted.0)") }
    }

    @Test(arguments: sets) func transforms(set: InstructionSet) {
        let kernels = set.kernels, z = Guarded(64) { $0 % 3 == 0 ? .infinity : 0.1 * Float($0 % 7) }, bias = Guarded(64) { noise(11, $0) }
        for shape in Self.shapes {
            let total = shape.0 * shape.1 * shape.1 / 16
            for (first, count) in Set([1, 2, 3, total]).filter({ $0 <= total }).flatMap({ n in [(0, n), (total - n, n)] }) {
                let (memory, x) = Self.maps(shape) { noise(12, $0) }, before = memory.values
                let tiles = Guarded(Tiles.floats(count: count, blocks: shape.2)), v = Tiles(tiles.base, count: count, blocks: shape.2)
                func each(_ body: (_ tile: Int, _ block: Int, _ lane: Int, _ place: Int) -> Void) {
                    for t in 0..<count {
                        for block in 0..<shape.2 {
                            for lane in [0, 5, 15, 16, 31] { body(first + t, block, lane, block * v.blockFloats + t * 32 + lane) }
                        }
                    }
                }
                func compare(_ name: String, _ wanted: [[(Double, Double)]], _ place: Int) {
                    for p in 0..<36 {
                        Self.expect(
                            tiles.base[p * v.positionStride + place], wanted[p / 6][p % 6], "\(name) \(shape), tiles \(first) + \(count)")
                    }
                }
                kernels.tileInput(x, z.base, first, v)
                each { tile, block, lane, place in
                    let at = Self.corner(x, tile, block) + lane, bound = z.base[block * 32 + lane]
                    compare("input", Self.sandwich(Self.bt) { Double(min(before[at + $0 * x.rowFloats + $1 * 32], bound)) }, place)
                }
                kernels.tileGradient(x, first, v)
                each { tile, block, lane, place in
                    let at = Self.corner(x, tile, block) + x.rowFloats + 32 + lane
                    compare("gradient", Self.sandwich(Self.transposed(Self.at)) { Double(before[at + $0 * x.rowFloats + $1 * 32]) }, place)
                }
                #expect(memory.values == before && memory.intact && tiles.intact)

                for i in 0..<tiles.count { tiles.base[i] = noise(13, i) }
                for withBias in [false, true] {
                    kernels.tileOutput(v, withBias ? bias.base : nil, first, x)
                    each { tile, block, lane, place in
                        let wanted = Self.sandwich(Self.at) { Double(tiles.base[($0 * 6 + $1) * v.positionStride + place]) }
                        let at = Self.corner(x, tile, block) + x.rowFloats + 32 + lane,
                            b = withBias ? Double(bias.base[block * 32 + lane]) : 0
                        for i in 0..<4 {
                            for j in 0..<4 {
                                let sum = wanted[i][j].0 + b
                                Self.expect(
                                    memory.base[at + i * x.rowFloats + j * 32], (withBias ? max(sum, 0) : sum, wanted[i][j].1 + abs(b)),
                                    "output \(shape)")
                            }
                        }
                    }
                }
                let wide = shape.1 + 2
                let border = memory.values.enumerated().filter { i, _ in
                    [0, wide - 1].contains(i / 32 % wide) || [0, wide - 1].contains(i / 32 / wide % wide)
                }
                #expect(border.allSatisfy { $0.1 == 0 } && !border.isEmpty && memory.intact && tiles.intact)
            }
        }
    }

    @Test(arguments: sets) func weights(set: InstructionSet) {
        for blocks in 1...5 {
            let n = 32 * blocks, w = Guarded(9 * n) { noise(14, $0) }, stride = n + 32, u = Guarded(35 * stride + n)
            set.kernels.weightTiles(w.base, n, n, u.base, stride)
            let dw = Guarded(9 * n) { noise(15, $0) }, before = dw.values
            for i in 0..<n {
                let wanted = Self.sandwich(Self.g) { Double(w.base[($0 * 3 + $1) * n + i]) }
                for p in 0..<36 { Self.expect(u.base[p * stride + i], wanted[p / 6][p % 6], "weights \(n)") }
            }
            set.kernels.weightGradient(u.base, stride, n, dw.base, n)
            for i in 0..<n {
                let wanted = Self.sandwich(Self.transposed(Self.g)) { Double(u.base[($0 * 6 + $1) * stride + i]) }
                for tap in 0..<9 {
                    let (sum, size) = wanted[tap / 3][tap % 3], old = Double(before[tap * n + i])
                    Self.expect(dw.base[tap * n + i], (sum + old, size + abs(old)), "gradient of weights \(n)")
                }
            }
            #expect(w.intact && u.intact && dw.intact)
        }
    }

    /// Values from few, so that ties and a = z occur; sums of few terms are exact in float32.
    @Test(arguments: sets) func poolAndBounds(set: InstructionSet) {
        let kernels = set.kernels, z = Guarded(64) { [.infinity, 0.5, 0.25, 0][$0 % 4] }
        for shape in Self.shapes + [(2, 2, 1), (1, 6, 2)] {
            let (images, side, blocks) = shape, half = side / 2
            let (memory, a) = Self.maps(shape) { Float(Int(GoldenInputs.u(216, $0) * 4)) * 0.25 }
            for border in [false, true] {
                let wide = border ? half + 2 : half, edge = border ? 1 : 0
                func pooled(_ image: Int, _ block: Int, _ i: Int, _ j: Int) -> Int {
                    (((image * blocks + block) * wide + i + edge) * wide + j + edge) * 32
                }
                let y = Guarded(images * blocks * wide * wide * 32) { _ in 9 }, dy = Guarded(y.count) { Float(1 + $0 % 8) / 8 }
                let (target, da) = Self.maps(shape) { _ in 0 }
                let db = Guarded(64) { _ in 1 }, dz = Guarded(64) { _ in 2 }
                kernels.pool(a, z.base, images, y.base, border)
                kernels.poolBackward(a, z.base, images, dy.base, border, da, db.base, dz.base)
                var sumB = [Float](repeating: 1, count: 64), sumZ = [Float](repeating: 2, count: 64), wrong = 0
                for image in 0..<images {
                    for block in 0..<blocks {
                        for lane in 0..<32 {
                            let channel = block * 32 + lane, bound = z.base[channel],
                                first = a.interior(image: image, block: block) - a.base + lane
                            for i in 0..<half {
                                for j in 0..<half {
                                    let places = [0, 32, a.rowFloats, a.rowFloats + 32].map {
                                        first + 2 * i * a.rowFloats + 2 * j * 32 + $0
                                    }
                                    let cut = places.map { min(memory.base[$0], bound) }, top = cut.max() ?? 0,
                                        at = pooled(image, block, i, j) + lane
                                    wrong += y.base[at] == top ? 0 : 1
                                    let winner = cut.firstIndex(of: top) ?? 0, value = memory.base[places[winner]]
                                    let kept = value > 0 && value <= bound ? dy.base[at] : 0
                                    sumB[channel] += kept
                                    sumZ[channel] += value > bound ? dy.base[at] : 0
                                    for k in 0..<4 { wrong += target.base[places[k]] == (k == winner ? kept : 0) ? 0 : 1 }
                                }
                            }
                        }
                    }
                }
                #expect(wrong == 0 && db.values == sumB && dz.values == sumZ, "\(shape), border \(border)")
                #expect(memory.intact && y.intact && dy.intact && target.intact && db.intact && dz.intact)
            }
            boundBackward(kernels, shape, memory, a, z)
        }
    }

    private func boundBackward(_ kernels: KernelTable, _ shape: (Int, Int, Int), _ memory: Guarded, _ a: Maps, _ z: Guarded) {
        let (target, da) = Self.maps(shape) { Float(1 + $0 % 8) / 8 }, before = target.values
        let db = Guarded(64), dz = Guarded(64), maxima = Guarded(32 * shape.2)
        kernels.boundBackward(a, z.base, shape.0, da, db.base, dz.base)
        var sumB = [Float](repeating: 0, count: 64), sumZ = sumB, top = [Float](repeating: 0, count: 32 * shape.2)
        let plane = (shape.1 + 2) * (shape.1 + 2) * 32
        for i in 0..<memory.count {
            let channel = i / plane % shape.2 * 32 + i % 32, value = memory.base[i], bound = z.base[channel]
            let kept = value > 0 && value <= bound ? before[i] : 0
            sumB[channel] += kept
            sumZ[channel] += value > bound ? before[i] : 0
            if target.base[i] != kept { Issue.record("\(shape), float \(i)") }
            if i < a.imageFloats { top[channel] = max(top[channel], min(value, bound)) }
        }
        kernels.channelMaxima(a, z.base, 0, maxima.base)
        #expect(db.values == sumB && dz.values == sumZ && maxima.values == top, "\(shape)")
        #expect(target.intact && db.intact && dz.intact && maxima.intact)
    }
}
