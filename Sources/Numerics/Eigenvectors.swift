/// Eigenvalues of a symmetric (n, n) matrix, descending, each with its vector of length 1: cyclic Jacobi rotations until what is off the
/// diagonal is below 1e-15 of the norm; fewer than 12 sweeps as a rule, never more than 50 (Golub and Van Loan, section 8.5). About
/// 9 n^3 operations a sweep.
package func eigenvectors(_ matrix: [Double], _ n: Int) -> [(value: Double, vector: [Double])] {
    var a = matrix, v = (0..<n * n).map { $0 / n == $0 % n ? 1.0 : 0 }
    let norm = a.reduce(0) { $0 + $1 * $1 }
    a.withUnsafeMutableBufferPointer { a in
        v.withUnsafeMutableBufferPointer { v in
            for _ in 0..<50 {
                var off = 0.0
                for i in 0..<n { for j in 0..<i { off += 2 * a[i * n + j] * a[i * n + j] } }
                guard off > 1e-30 * norm else { break }
                for p in 0..<max(0, n - 1) { for q in p + 1..<n { rotate(a, v, n, p: p, q: q) } }
            }
        }
    }
    return (0..<n).map { (value: a[$0 * n + $0], vector: Array(v[$0 * n..<($0 + 1) * n])) }.sorted { $0.value > $1.value }
}

/// The rotation in the plane (p, q) that makes a(p, q) zero; rows of `v` turn with it.
private func rotate(_ a: UnsafeMutableBufferPointer<Double>, _ v: UnsafeMutableBufferPointer<Double>, _ n: Int, p: Int, q: Int) {
    guard a[p * n + q] != 0 else { return }
    let tau = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q])
    let t = (tau >= 0 ? 1 : -1) / (abs(tau) + (1 + tau * tau).squareRoot())
    let c = 1 / (1 + t * t).squareRoot(), s = t * c
    for k in 0..<n {
        let x = a[k * n + p], y = a[k * n + q]
        (a[k * n + p], a[k * n + q]) = (c * x - s * y, s * x + c * y)
    }
    for rows in [a, v] {
        for k in 0..<n {
            let x = rows[p * n + k], y = rows[q * n + k]
            (rows[p * n + k], rows[q * n + k]) = (c * x - s * y, s * x + c * y)
        }
    }
}

/// Rows, whose mean is zero, projected on their leading `count` right singular vectors, exactly; fewer where they span fewer directions.
/// The smaller of the two product matrices is diagonalised.
package func leadingComponents(_ x: [[Double]], count: Int) -> [[Double]] {
    let n = x.count, d = x.first?.count ?? 0, size = min(n, d)
    guard size > 0 else { return x.map { _ in [] } }
    var products = [Double](repeating: 0, count: size * size)
    let columns = n <= d ? x : (0..<d).map { k in x.map { $0[k] } }
    for i in 0..<size {
        for j in 0...i {
            products[i * size + j] = dot(columns[i], columns[j])
            products[j * size + i] = products[i * size + j]
        }
    }
    let leading = eigenvectors(products, size).prefix(count).filter { $0.value > 0 }
    guard n <= d else { return x.map { row in leading.map { dot(row, $0.vector) } } }
    return (0..<n).map { row in leading.map { $0.vector[row] * $0.value.squareRoot() } }
}
