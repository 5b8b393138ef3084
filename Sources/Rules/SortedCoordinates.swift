import KernelTable
import Network
import Tensor

/// Coordinates sorted at a time, so that those of 100 models fit a first-level cache, and coordinates dealt to a thread at a time.
private let width = 64, dealt = 1024

/// A model whose every coordinate is made of the n sorted values of that coordinate. `body(rows, out)` sees `width`
/// coordinates at once: `rows` is (n, 64), ascending down each column, and `out` takes 64 results.
///
/// The sort is Batcher's odd-even merge exchange (Knuth, TAOCP 3, 5.2.2 M): its comparisons do not depend on the values,
/// so each one is a vector's minimum and maximum.
func fromSortedCoordinates(
    _ models: [Parameters], like global: Parameters, _ kernels: KernelTable, threads: Int,
    _ body: (_ rows: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>) -> Void
) -> Parameters {
    let result = Parameters(global.network), bases = models.map(\.base), n = models.count
    let exchanges = mergeExchanges(n).flatMap { [Int32($0), Int32($1)] }
    parallel((global.count + dealt - 1) / dealt, threads: threads) { part, _ in
        withUnsafeTemporaryAllocation(byteCount: (n + 1) * width * 4, alignment: 64) { memory in
            let buffer = memory.bindMemory(to: Float.self)
            guard let rows = buffer.baseAddress else { return }
            buffer.initialize(repeating: 0)
            for first in stride(from: part * dealt, to: min((part + 1) * dealt, global.count), by: width) {
                let used = min(width, global.count - first)
                for i in 0..<n { (rows + i * width).update(from: bases[i] + first, count: used) }
                exchanges.withUnsafeBufferPointer { pairs in
                    if let pairs = pairs.baseAddress { kernels.exchangeRows(rows, width, pairs, exchanges.count / 2) }
                }
                let out = rows + n * width
                body(rows, out)
                (result.base + first).update(from: out, count: used)
            }
        }
    }
    return result
}

/// The comparisons of the merge exchange sort of n values, in order.
func mergeExchanges(_ n: Int) -> [(Int, Int)] {
    guard n > 1 else { return [] }
    var top = 1, pairs: [(Int, Int)] = []
    while 2 * top < n { top *= 2 }
    var p = top
    while p > 0 {
        var q = top, r = 0, d = p
        while true {
            for i in 0..<max(0, n - d) where i & p == r { pairs.append((i, i + d)) }
            if q == p { break }
            (d, q, r) = (q - p, q / 2, p)
        }
        p /= 2
    }
    return pairs
}

extension UnsafePointer<Float> {
    /// Values `rank` of eight columns from k on.
    @inline(__always)
    func eight(_ rank: Int, _ k: Int) -> SIMD8<Double> { Rules.eight(self + (rank * width + k)) }
}

/// Calls `body(k)` for the first of every eight columns; it returns their results.
@inline(__always)
func forEachEightColumns(_ out: UnsafeMutablePointer<Float>, _ body: (Int) -> SIMD8<Double>) {
    for k in stride(from: 0, to: width, by: 8) {
        let result = body(k)
        for lane in 0..<8 { out[k + lane] = Float(result[lane]) }
    }
}
