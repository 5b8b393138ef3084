import Network
import Tensor

/// Coordinates sorted at a time.
private let width = 128

/// A model whose every coordinate is made of the n sorted values of that coordinate. `body(rows, out)` sees `width`
/// coordinates at once: `rows` is (n, 128), ascending down each column, and `out` takes 128 results.
///
/// The sort is Batcher's odd-even merge exchange (Knuth, TAOCP 3, 5.2.2 M): its comparisons do not depend on the values,
/// so each one is a loop over all columns, which the compiler turns into vector minima and maxima.
func fromSortedCoordinates(
    _ models: [Parameters], like global: Parameters, threads: Int,
    _ body: (_ rows: UnsafePointer<Float>, _ out: UnsafeMutablePointer<Float>) -> Void
) -> Parameters {
    let result = Parameters(global.network), bases = models.map(\.base), n = models.count
    let exchanges = mergeExchanges(n)
    parallel((global.count + width - 1) / width, threads: threads) { block, _ in
        let first = block * width, used = min(width, global.count - first)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: (n + 1) * width) { buffer in
            guard let rows = buffer.baseAddress else { return }
            buffer.initialize(repeating: 0)
            for i in 0..<n { (rows + i * width).update(from: bases[i] + first, count: used) }
            for (low, high) in exchanges { exchange(rows + low * width, rows + high * width) }
            let out = rows + n * width
            body(rows, out)
            (result.base + first).update(from: out, count: used)
        }
    }
    return result
}

/// Each column's smaller value goes to `a`, the larger one to `b`.
@inline(__always)
private func exchange(_ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>) {
    for k in 0..<width {
        let x = a[k], y = b[k]
        a[k] = x < y ? x : y
        b[k] = x < y ? y : x
    }
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
    /// Value `rank` of column k.
    @inline(__always)
    func at(_ rank: Int, _ k: Int) -> Double { Double(self[rank * width + k]) }
}

/// Calls `body(k)` for every column.
@inline(__always)
func forEachColumn(_ body: (Int) -> Void) {
    for k in 0..<width { body(k) }
}
