import KernelTable
import Network
import Tensor

// Matrices of distances and products of a round's models. Pairs of strips of models are compared block by block of coordinates, each as
// a product of matrices: a number that is loaded is used for three or four pairs at least. The order of sums is that of `blockDistance`
// and `blockProduct`, so neither threads nor instruction sets change a bit.

/// Models of a strip, and coordinates that are widened at a time: one strip and the sums of its pairs take 1 MB.
package let stripModels = 128
private let widened = 512
/// Rows of the buffers: the kernels go on to whole tiles.
private let stripRows = stripModels + 8

/// ||W_i - W_j||^2 over all parameters, for every pair of models.
package func squaredDistances(_ models: [Parameters], _ kernels: KernelTable, threads: Int, strip: Int = stripModels) -> [[Double]] {
    pairSums(models, around: nil, kernels, threads: threads, strip: strip, kernel: kernels.pairDistances)
}

/// W_i . W_j over all parameters, for every pair of models, each with itself included.
package func products(_ models: [Parameters], _ kernels: KernelTable, threads: Int, strip: Int = stripModels) -> [[Double]] {
    pairSums(models, around: nil, kernels, threads: threads, strip: strip, kernel: kernels.pairProducts)
}

/// (W_i - G) . (W_j - G) over all parameters, likewise.
package func updateProducts(
    _ models: [Parameters], around global: Parameters, _ kernels: KernelTable, threads: Int, strip: Int = stripModels
) -> [[Double]] {
    pairSums(models, around: global, kernels, threads: threads, strip: strip, kernel: kernels.pairProducts)
}

private func pairSums(
    _ models: [Parameters], around global: Parameters?, _ kernels: KernelTable, threads: Int, strip: Int,
    kernel: @escaping KernelTable.PairSums
) -> [[Double]] {
    let n = models.count, count = models.first?.count ?? 0, bases = models.map { UnsafePointer($0.base) }
    let origin = global.map { UnsafePointer($0.base) }
    precondition(count % 8 == 0)
    var matrix = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    let workers = (0..<max(1, threads)).map { _ in PairWorker(kernels, kernel) }
    let strips = stride(from: 0, to: n, by: strip).map { $0..<min(n, $0 + strip) }
    for rows in strips {
        for columns in strips where columns.lowerBound <= rows.lowerBound {
            let pairs = rows.count * columns.count, blocks = (count + coordinateBlock - 1) / coordinateBlock
            var partial = [Double](repeating: 0, count: blocks * pairs)  // every block its own row: no order of threads shows
            partial.withUnsafeMutableBufferPointer { buffer in
                guard let partial = buffer.baseAddress else { return }
                forEachBlock(count, threads: threads) { first, width, worker in
                    workers[worker].sum(
                        bases, around: origin, rows: rows, columns: columns, first: first, width: width,
                        into: partial + first / coordinateBlock * pairs)
                }
            }
            for (r, i) in rows.enumerated() {
                for (c, j) in columns.enumerated() where j <= i {
                    matrix[i][j] = (0..<blocks).reduce(0) { $0 + partial[$1 * pairs + r * columns.count + c] }
                    matrix[j][i] = matrix[i][j]
                }
            }
        }
    }
    return matrix
}

/// What a thread compares two strips of models with.
private final class PairWorker: @unchecked Sendable {
    private let kernels: KernelTable, kernel: KernelTable.PairSums
    private let memory: FloatBuffer
    /// The strips as doubles, (136, 512) each, and the sums of their pairs, (136, 136, 8).
    private let rows: UnsafeMutablePointer<Double>, columns: UnsafeMutablePointer<Double>, sums: UnsafeMutablePointer<Double>
    private static let operand = stripRows * widened, sumStride = stripRows * 8

    init(_ kernels: KernelTable, _ kernel: @escaping KernelTable.PairSums) {
        (self.kernels, self.kernel) = (kernels, kernel)
        let doubles = 2 * Self.operand + stripRows * Self.sumStride
        memory = FloatBuffer(2 * doubles)
        rows = UnsafeMutableRawPointer(memory.base).bindMemory(to: Double.self, capacity: doubles)
        columns = rows + Self.operand
        sums = columns + Self.operand
    }

    /// The sums over a block of coordinates, (rows i, columns j), where j <= i.
    func sum(
        _ bases: [UnsafePointer<Float>], around origin: UnsafePointer<Float>?, rows i: Range<Int>, columns j: Range<Int>, first: Int,
        width: Int, into out: UnsafeMutablePointer<Double>
    ) {
        let same = i == j
        sums.update(repeating: 0, count: stripRows * Self.sumStride)
        for start in stride(from: first, to: first + width, by: widened) {
            let groups = min(widened, first + width - start) / 8
            widen(bases, around: origin, models: i, start: start, groups: groups, into: rows)
            if !same { widen(bases, around: origin, models: j, start: start, groups: groups, into: columns) }
            kernel(rows, i.count, same ? rows : columns, j.count, same, groups, stripRows, sums, Self.sumStride)
        }
        for r in 0..<i.count {
            for c in 0..<(same ? r + 1 : j.count) {
                let parts = UnsafeRawPointer(sums + r * Self.sumStride + c * 8).assumingMemoryBound(to: SIMD8<Double>.self)
                out[r * j.count + c] = parts.pointee.sum()
            }
        }
    }

    private func widen(
        _ bases: [UnsafePointer<Float>], around origin: UnsafePointer<Float>?, models: Range<Int>, start: Int, groups: Int,
        into target: UnsafeMutablePointer<Double>
    ) {
        for (row, model) in models.enumerated() {
            kernels.widen(bases[model] + start, origin.map { $0 + start }, groups, target, row, stripRows)
        }
    }
}
