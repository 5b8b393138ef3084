/// Agglomerative clustering with average linkage (Sokal and Michener 1958): every point begins as a cluster of its
/// own, and the two clusters whose points are nearest on average are joined, until `count` are left. Ties go to the
/// pair with the lowest points. O(n^3).
///
/// - Parameter distances: (n, n), symmetric.
/// - Returns: the points of each cluster, ascending; the clusters in the order of their lowest points.
package func averageLinkage(_ distances: [[Double]], clusters count: Int) -> [[Int]] {
    var clusters = distances.indices.map { [$0] }
    var sums = distances  // over the pairs of two clusters' points
    while clusters.count > max(1, count) {
        let (a, b) = nearest(clusters.map(\.count), sums)
        clusters[a] = (clusters[a] + clusters.remove(at: b)).sorted()
        let row = sums.remove(at: b)
        for k in sums.indices where k != a {
            sums[a][k < b ? k : k + 1] += row[k < b ? k : k + 1]
            sums[k][a] = sums[a][k < b ? k : k + 1]
        }
        for k in sums.indices { sums[k].remove(at: b) }
    }
    return clusters
}

/// Positions a < b of the clusters that are nearest on average.
private func nearest(_ sizes: [Int], _ sums: [[Double]]) -> (Int, Int) {
    var best = (0, 1), least = Double.infinity
    for a in sizes.indices {
        for b in a + 1..<max(a + 1, sizes.count) {
            let average = sums[a][b] / Double(sizes[a] * sizes[b])
            if average < least { (best, least) = ((a, b), average) }
        }
    }
    return best
}
