/// HDBSCAN (Campello, Moulavi, Sander 2013; McInnes, Healy, Astels 2017) on a matrix of distances, decision for decision as
/// the Python package `hdbscan` (0.8.44, metric "precomputed", selection by excess of mass), so that its labels can be
/// compared. O(n^2) time and memory. Equal edges, common since core distances repeat, are joined in the order in which the
/// spanning tree grew; the package's order of them is that of an unstable sort and differs between CPUs.
///
/// 1. core distance: to the k-th neighbour, k = min samples, the point itself NOT counted (scikit-learn counts it);
/// 2. mutual reachability: max(core_a, core_b, d_ab), and its minimum spanning tree;
/// 3. single-linkage hierarchy, condensed: a branch with fewer than min cluster size points falls out of its cluster;
/// 4. clusters by excess of mass, the stability of a cluster being sum over its points of lambda_out - lambda_in, lambda =
///    1 / distance;
/// 5. label -1 for noise, else 0, 1, ... in the order of the condensed tree.
public struct HDBSCAN: Sendable {
    public var minClusterSize: Int
    public var minSamples: Int
    public var allowSingleCluster: Bool

    /// - Parameter minClusterSize: at least 2, as in the package; smaller values count as 2.
    public init(minClusterSize: Int, minSamples: Int, allowSingleCluster: Bool) {
        self.minClusterSize = max(2, minClusterSize)
        self.minSamples = max(1, minSamples)
        self.allowSingleCluster = allowSingleCluster
    }

    /// The label of every point. `distances` is square, symmetric, finite or +inf, zero on the diagonal. A single point is
    /// a cluster where a single cluster is allowed, else noise (the package refuses it).
    public func labels(_ distances: [[Double]]) -> [Int] {
        let n = distances.count
        guard n > 1 else { return distances.map { _ in allowSingleCluster ? 0 : -1 } }
        let edges = spanningTree(mutualReachability(distances))
        let order = edges.indices.sorted { (edges[$0].distance, $0) < (edges[$1].distance, $1) }
        return label(condense(hierarchy(order.map { edges[$0] }, points: n), points: n), points: n)
    }

    // MARK: the hierarchy

    private struct Edge { var from: Int, to: Int, distance: Double }
    /// Node n + i of the hierarchy joins `left` and `right`; nodes below n are points.
    private struct Join { var left: Int, right: Int, distance: Double, size: Int }
    /// A row of the condensed tree: `child`, a point or a cluster (from n up), leaves cluster `parent` at `lambda`.
    private struct Row { var parent: Int, child: Int, lambda: Double, size: Int }

    private func mutualReachability(_ distances: [[Double]]) -> [[Double]] {
        let n = distances.count, rank = min(n - 1, minSamples)
        let core = distances.map { $0.sorted()[rank] }  // rank 0 is the point itself
        return (0..<n).map { i in (0..<n).map { j in max(distances[i][j], core[i], core[j]) } }
    }

    /// Prim from point 0; among equals the lowest point comes first.
    private func spanningTree(_ distances: [[Double]]) -> [Edge] {
        let n = distances.count
        var inTree = [Bool](repeating: false, count: n), nearest = [Double](repeating: .infinity, count: n)
        var source = [Int](repeating: 0, count: n), node = 0, edges: [Edge] = []
        for _ in 1..<n {
            inTree[node] = true
            var next = -1
            for j in 0..<n where !inTree[j] {
                if distances[node][j] < nearest[j] { (nearest[j], source[j]) = (distances[node][j], node) }
                if next < 0 || nearest[j] < nearest[next] { next = j }
            }
            edges.append(Edge(from: source[next], to: next, distance: nearest[next]))
            node = next
        }
        return edges
    }

    /// Joins by ascending distance.
    private func hierarchy(_ edges: [Edge], points n: Int) -> [Join] {
        var parent = Array(0..<2 * n - 1), joins: [Join] = []
        func root(_ x: Int) -> Int {
            var x = x
            while parent[x] != x { x = parent[x] }
            return x
        }
        func size(_ node: Int) -> Int { node < n ? 1 : joins[node - n].size }
        for edge in edges {
            let a = root(edge.from), b = root(edge.to), node = n + joins.count
            joins.append(Join(left: a, right: b, distance: edge.distance, size: size(a) + size(b)))
            parent[a] = node
            parent[b] = node
        }
        return joins
    }

    // MARK: clusters

    /// Nodes below `node` and itself, level by level.
    private func descendants(_ joins: [Join], _ node: Int, points n: Int) -> [Int] {
        var result: [Int] = [], level = [node]
        while !level.isEmpty {
            result += level
            level = level.filter { $0 >= n }.flatMap { [joins[$0 - n].left, joins[$0 - n].right] }
        }
        return result
    }

    /// The condensed tree. Its root is cluster n.
    private func condense(_ joins: [Join], points n: Int) -> [Row] {
        let root = 2 * n - 2
        var cluster = [Int](repeating: -1, count: root + 1), gone = [Bool](repeating: false, count: root + 1)
        var rows: [Row] = [], next = n + 1
        cluster[root] = n
        for node in descendants(joins, root, points: n) where node >= n && !gone[node] {
            let join = joins[node - n], lambda = join.distance > 0 ? 1 / join.distance : .infinity
            let sides = [join.left, join.right].map { (node: $0, size: $0 < n ? 1 : joins[$0 - n].size) }
            let large = sides.filter { $0.size >= minClusterSize }
            for side in sides where side.size < minClusterSize {
                for below in descendants(joins, side.node, points: n) {
                    if below < n { rows.append(Row(parent: cluster[node], child: below, lambda: lambda, size: 1)) }
                    gone[below] = true
                }
            }
            if large.count == 1 {
                cluster[large[0].node] = cluster[node]
            } else {
                for side in large {
                    cluster[side.node] = next
                    rows.append(Row(parent: cluster[node], child: next, lambda: lambda, size: side.size))
                    next += 1
                }
            }
        }
        return rows
    }

    /// Excess of mass. Clusters n, n + 1, ... stand in topological order.
    private func select(_ rows: [Row], points n: Int) -> [Int] {
        let count = (rows.map(\.parent).max() ?? n) - n + 1
        var born = [Double](repeating: 0, count: count), children = [[Int]](repeating: [], count: count)
        for row in rows where row.child >= n {
            born[row.child - n] = row.lambda
            children[row.parent - n].append(row.child - n)
        }
        var stability = [Double](repeating: 0, count: count), selected = [Bool](repeating: true, count: count)
        for row in rows { stability[row.parent - n] += (row.lambda - born[row.parent - n]) * Double(row.size) }
        if !allowSingleCluster { selected[0] = false }
        for cluster in stride(from: count - 1, through: allowSingleCluster ? 0 : 1, by: -1) {
            // The package adds the children up in a C float, and so do we.
            let below = Double(children[cluster].reduce(Float(0)) { Float(Double($0) + stability[$1]) })
            if below > stability[cluster] {
                selected[cluster] = false
                stability[cluster] = below
            } else {
                var level = children[cluster]
                while !level.isEmpty {
                    for child in level { selected[child] = false }
                    level = level.flatMap { children[$0] }
                }
            }
        }
        return (0..<count).filter { selected[$0] }.map { $0 + n }
    }

    private func label(_ rows: [Row], points n: Int) -> [Int] {
        let selected = select(rows, points: n)
        var parent: [Int: Int] = [:], left = [Double](repeating: 0, count: n), labels = [Int](repeating: -1, count: n)
        var last = 0.0  // lambda at which the root's last children leave it
        for row in rows {
            parent[row.child] = row.parent
            if row.child < n { left[row.child] = row.lambda }
            if row.parent == n { last = max(last, row.lambda) }
        }
        for point in 0..<n {
            var cluster = parent[point] ?? n
            while cluster != n, !selected.contains(cluster) { cluster = parent[cluster] ?? n }
            guard let label = selected.firstIndex(of: cluster) else { continue }
            if cluster != n || left[point] >= last { labels[point] = label }  // of the root alone only the densest core
        }
        return labels
    }
}
