import Datasets

/// Rows projected on the leading `count` right singular vectors (orthogonal iteration, 20 rounds). Rows must have mean
/// zero. The products run over the rows, without a covariance matrix: 4 n d operations a vector and round.
package func principalComponents(_ x: [[Double]], count: Int, using stream: inout RandomStream) -> [[Double]] {
    let d = x.first?.count ?? 0
    var basis = (0..<min(count, d)).map { _ in (0..<d).map { _ in stream.normal() } }
    orthonormalize(&basis)
    for _ in 0..<20 {
        basis = basis.map { v in
            var image = [Double](repeating: 0, count: d)
            for row in x {
                let weight = dot(row, v)
                for k in 0..<d { image[k] += weight * row[k] }
            }
            return image
        }
        orthonormalize(&basis)
    }
    return x.map { row in basis.map { dot(row, $0) } }
}

/// Gram-Schmidt.
private func orthonormalize(_ basis: inout [[Double]]) {
    for i in basis.indices {
        for j in 0..<i {
            let overlap = dot(basis[i], basis[j])
            for k in basis[i].indices { basis[i][k] -= overlap * basis[j][k] }
        }
        let norm = max(dot(basis[i], basis[i]).squareRoot(), 1e-30)
        for k in basis[i].indices { basis[i][k] /= norm }
    }
}

package func dot(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for i in a.indices { sum += a[i] * b[i] }
    return sum
}

/// 2-means, started from the two sides of each component in turn; the split that explains most of the variance.
package func twoMeans(_ x: [[Double]]) -> [Bool] {
    var best: (share: Double, assignment: [Bool]) = (-1, x.map { _ in false })
    for start in 0..<(x.first?.count ?? 0) {
        let assignment = twoMeans(x, from: x.map { $0[start] > 0 }), share = explained(x, assignment)
        if share > best.share { best = (share, assignment) }
    }
    return best.assignment
}

/// 2-means from so many random pairs of rows; the split that explains most of the variance.
package func twoMeans(_ x: [[Double]], starts: Int, using stream: inout RandomStream) -> [Bool] {
    var best: (share: Double, assignment: [Bool]) = (-1, x.map { _ in false })
    for _ in 0..<(x.count > 1 ? starts : 0) {
        let first = stream.index(below: x.count), second = (first + 1 + stream.index(below: x.count - 1)) % x.count
        let start = x.map { squaredDistance($0, x[second]) < squaredDistance($0, x[first]) }
        let assignment = twoMeans(x, from: start), share = explained(x, assignment)
        if share > best.share { best = (share, assignment) }
    }
    return best.assignment
}

/// 2-means from a start, until no row changes sides, or 50 times.
package func twoMeans(_ x: [[Double]], from start: [Bool]) -> [Bool] {
    var assignment = start
    for _ in 0..<50 {
        let centres = [false, true].map { side in mean(x) { assignment[$0] == side } }
        let next = x.map { squaredDistance($0, centres[1]) < squaredDistance($0, centres[0]) }
        if next == assignment { break }
        assignment = next
    }
    return assignment
}

/// How well rows lie in their own of two parts: the mean over rows of (b - a) / max(a, b), where a is the mean distance to the other rows
/// of the same part and b to those of the other (Rousseeuw 1987). A row that is alone counts 0; so does a split with an empty part.
package func silhouette(_ x: [[Double]], _ sides: [Bool]) -> Double {
    let sizes = [false, true].map { side in sides.count { $0 == side } }
    guard sizes[0] > 0, sizes[1] > 0 else { return 0 }
    var sum = 0.0
    for i in x.indices where sizes[sides[i] ? 1 : 0] > 1 {
        var distances = [0.0, 0.0]
        for j in x.indices { distances[sides[j] ? 1 : 0] += squaredDistance(x[i], x[j]).squareRoot() }
        let own = sides[i] ? 1 : 0, a = distances[own] / Double(sizes[own] - 1), b = distances[1 - own] / Double(sizes[1 - own])
        sum += max(a, b) > 0 ? (b - a) / max(a, b) : 0
    }
    return sum / Double(x.count)
}

/// Share of the variance that a split into two explains.
package func explained(_ x: [[Double]], _ assignment: [Bool]) -> Double {
    let all = mean(x) { _ in true }, total = x.reduce(0) { $0 + squaredDistance($1, all) }
    guard total > 0 else { return 0 }
    let within = [false, true].reduce(0.0) { sum, side in
        let centre = mean(x) { assignment[$0] == side }
        return sum + x.indices.reduce(0) { assignment[$1] == side ? $0 + squaredDistance(x[$1], centre) : $0 }
    }
    return 1 - within / total
}

/// The mean of the rows that count; 0 of none.
private func mean(_ x: [[Double]], where counts: (Int) -> Bool) -> [Double] {
    var sum = [Double](repeating: 0, count: x.first?.count ?? 0), rows = 0
    for i in x.indices where counts(i) {
        for k in sum.indices { sum[k] += x[i][k] }
        rows += 1
    }
    return sum.map { $0 / Double(max(1, rows)) }
}

package func squaredDistance(_ a: [Double], _ b: [Double]) -> Double {
    var sum = 0.0
    for i in a.indices { sum += (a[i] - b[i]) * (a[i] - b[i]) }
    return sum
}
