import GoldenInputs
import KernelTable
import Tensor
import Testing
@testable import Network

/// Floats with guard words on both sides, which `intact` checks: kernels write nothing beyond.
final class Guarded {
    private static let word: Float = -7.25e11, guards = 64
    private let buffer: FloatBuffer
    let count: Int

    init(_ count: Int, _ value: (Int) -> Float = { _ in 0 }) {
        self.count = count
        buffer = FloatBuffer(count + 2 * Self.guards)
        buffer.fill(Self.word)
        for i in 0..<count { base[i] = value(i) }
    }

    /// On a 64-byte boundary.
    var base: UnsafeMutablePointer<Float> { buffer.base + Self.guards }
    var values: [Float] { (0..<count).map { base[$0] } }
    var intact: Bool {
        (0..<Self.guards).allSatisfy { buffer.base[$0] == Self.word && buffer.base[Self.guards + count + $0] == Self.word }
    }
}

/// Uniform in -1 ... 1, by position.
func noise(_ seed: Int, _ i: Int) -> Float { Float(2 * GoldenInputs.u(200 + seed, i) - 1) }

/// Matrix products, sums and steps against the same in double, at every size around a tile's edges (a tile has 8 or 6 rows,
/// then 4, then 1), with guard words.
@Suite struct KernelTests {
    static let sets = InstructionSet.available

    @Test(arguments: sets) func gemm(set: InstructionSet) {
        let kernels = set.kernels
        var compared = 0
        for rows in 1...2 * 8 + 1 {
            for (outer, inner) in [(1, 1), (1, 2), (1, 33), (2, 1), (3, 9), (4, 32)] {
                for accumulate in [false, true] {
                    let k = outer * inner, stride = rows % 2 == 0 ? 32 : 64
                    let a = Guarded(rows * (k + 3)) { noise(1, $0) }, b = Guarded(k * 32 + outer * 32) { noise(2, $0) }
                    let c = Guarded((rows - 1) * stride + 32) { noise(3, $0) }, before = c.values
                    kernels.gemm(
                        rows, outer, inner, Operand(a.base, rowStride: k + 3, outerStride: inner, innerStride: 1),
                        Operand(b.base, rowStride: 0, outerStride: (inner + 1) * 32, innerStride: 32), c.base, stride, accumulate)
                    #expect(a.intact && b.intact && c.intact, "\(rows) rows, k \(outer) x \(inner)")
                    for row in 0..<rows {
                        for column in 0..<stride where row * stride + column < c.count {
                            let at = row * stride + column
                            var sum = column < 32 && !accumulate ? 0 : Double(before[at]), size = abs(sum)
                            for i in 0..<k where column < 32 {
                                let product =
                                    Double(a.base[row * (k + 3) + i]) * Double(b.base[(i / inner * (inner + 1) + i % inner) * 32 + column])
                                sum += product
                                size += abs(product)
                            }
                            let error = abs(Double(c.base[at]) - sum)
                            if !(error <= Double(k + 2) * 0x1p-24 * size) {
                                Issue.record("\(rows) rows, k \(outer) x \(inner), (\(row), \(column)): off by \(error)")
                            }
                            compared += 1
                        }
                    }
                }
            }
        }
        #expect(compared > 50_000)
    }

    @Test(arguments: sets) func elementwise(set: InstructionSet) {
        let kernels = set.kernels
        for blocks in 1...9 {
            let n = 32 * blocks
            let x = Guarded(n) { noise(4, $0) }, z = Guarded(n) { $0 % 5 == 0 ? .infinity : abs(noise(5, $0)) },
                y = Guarded(n) { noise(6, $0) }
            let before = y.values
            kernels.add(y.base, x.base, n)
            #expect(y.values == zip(before, x.values).map { $0 + $1 })
            kernels.clamp(x.base, z.base, n, y.base)
            #expect(y.values == zip(x.values, z.values).map { min($0, $1) })
            let bias = Guarded(32) { noise(7, $0) }, values = y.values
            kernels.biasRelu(y.base, blocks, bias.base)
            #expect(y.values == values.enumerated().map { max($1 + bias.base[$0 % 32], 0) })
            #expect(x.intact && y.intact && z.intact && bias.intact)
        }
    }

    /// v = 0.9 v + (g + decay w), w -= rate v, g = 0: two roundings more than in double for each.
    @Test(arguments: sets) func sgd(set: InstructionSet) {
        for blocks in 1...9 {
            let n = 32 * blocks, w = Guarded(n) { noise(8, $0) }, v = Guarded(n) { noise(9, $0) }, g = Guarded(n) { noise(10, $0) }
            let (w0, v0, g0) = (w.values, v.values, g.values)
            set.kernels.sgd(w.base, v.base, g.base, n, 0.02, 0.9, 5e-4)
            for i in 0..<n {
                let step = 0.9 * Double(v0[i]) + Double(g0[i]) + 5e-4 * Double(w0[i])
                #expect(
                    abs(Double(v.base[i]) - step) <= 8 * 0x1p-24 && abs(Double(w.base[i]) - (Double(w0[i]) - 0.02 * step)) <= 4 * 0x1p-24)
            }
            #expect(g.values.allSatisfy { $0 == 0 } && w.intact && v.intact && g.intact)
        }
    }

    @Test(arguments: sets) func transpose(set: InstructionSet) {
        for (rows, columns) in [(32, 32), (32, 64), (96, 32), (64, 96)] {
            let x = Guarded(rows * (columns + 32)) { Float($0) }, y = Guarded(columns * (rows + 32)) { _ in -1 }
            set.kernels.transpose(x.base, columns + 32, y.base, rows + 32, rows, columns)
            for c in 0..<columns {
                for r in 0..<rows + 32 { #expect(y.base[c * (rows + 32) + r] == (r < rows ? Float(r * (columns + 32) + c) : -1)) }
            }
            #expect(x.intact && y.intact)
        }
    }

    /// Each image's logits are the same bits whatever goes through the network with it: 1 to 33 images, that is up to two
    /// chunks and one more.
    @Test(arguments: sets) func everyBatch(set: InstructionSet) throws {
        let golden = try Golden(channels: 1), parameters = golden.parameters(), bounds = try golden.bounds()
        let predictor = Predictor(golden.network, kernels: set.kernels, threads: 2)
        let single = (0..<33).map { image in predictor.logits(1, parameters, bounds) { golden.load(20, image + $0, $1) } }
        for n in 1...2 * Workspace.capacity + 1 {
            let logits = predictor.logits(n, parameters, bounds) { golden.load(20, $0, $1) }
            #expect(logits == single.prefix(n).flatMap { $0 }, "\(n) images")
        }
    }

    /// Gradients of a batch of 1 to 33 images are the sum of the images' own, to rounding.
    @Test(arguments: sets) func everyBatchBackward(set: InstructionSet) throws {
        let golden = try Golden(channels: 3), trainer = Trainer(golden.network, kernels: set.kernels)
        func gradient(_ images: Range<Int>) throws -> [Double] {
            trainer.reset(golden.parameters(), bounds: try golden.bounds())
            _ = trainer.gradient(
                images.count, load: { golden.load(20, images.lowerBound + $0, $1) },
                loss: { i, y, dy in
                    Loss.crossEntropy(y, classes: 10, label: (images.lowerBound + i) % 10, batch: 1, gradient: dy)
                })
            return trainer.sum.parameters.values.map(Double.init) + trainer.sum.bounds.values.map(Double.init)
        }
        var sum = [Double](repeating: 0, count: golden.network.parameterFloats + golden.network.totalBounds)
        for n in 1...2 * Workspace.capacity + 1 {
            sum = zip(sum, try gradient(n - 1..<n)).map { $0 + $1 }
            let together = try gradient(0..<n), norm = sum.reduce(0) { $0 + $1 * $1 }.squareRoot()
            let error = zip(sum, together).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
            #expect(error <= 1e-5 * norm, "\(n) images: \(error / norm)")
        }
    }
}
