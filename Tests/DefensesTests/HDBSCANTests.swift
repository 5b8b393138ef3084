import HDF5
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

@Suite struct HDBSCANTests {
    private func distances(_ points: [[Double]]) -> [[Double]] {
        points.map { a in points.map { b in ((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1])).squareRoot() } }
    }

    private func line(_ points: [Double]) -> [[Double]] { distances(points.map { [$0, 0] }) }

    /// Two groups of three and a point by itself. It leaves at 1/39, the groups part at 1/8; each has stability
    /// 3 (1/1 - 1/8), together more than the whole.
    @Test func twoGroupsAndNoise() {
        for single in [false, true] {
            let labels = HDBSCAN(minClusterSize: 3, minSamples: 1, allowSingleCluster: single).labels(line([0, 1, 2, 10, 11, 12, 51]))
            #expect(labels[0..<3] == [labels[0], labels[0], labels[0]] && labels[3..<6] == [labels[3], labels[3], labels[3]])
            #expect(Set([labels[0], labels[3]]) == [0, 1] && labels[6] == -1)
        }
    }

    /// No two groups of three: all is one cluster where that is allowed, of the points that leave last; else all is noise.
    @Test func oneCluster() {
        let points = line([0, 1, 2, 3, 20])
        #expect(HDBSCAN(minClusterSize: 3, minSamples: 1, allowSingleCluster: true).labels(points) == [0, 0, 0, 0, -1])
        #expect(HDBSCAN(minClusterSize: 3, minSamples: 1, allowSingleCluster: false).labels(points) == [-1, -1, -1, -1, -1])
    }

    /// The point itself is not counted: with min samples 2 the core distances of 0, 1, 3, 6, 20 are 3, 2, 3, 5, 17, so 0, 1 and
    /// 3 all part at 3. Counted, they would be 1, 1, 2, 3, 14, and 3 would leave 0 and 1 at 2.
    @Test func coreDistance() {
        let points = line([0, 1, 3, 6, 20])
        #expect(HDBSCAN(minClusterSize: 2, minSamples: 2, allowSingleCluster: true).labels(points) == [0, 0, 0, -1, -1])
        #expect(HDBSCAN(minClusterSize: 2, minSamples: 1, allowSingleCluster: true).labels(points) == [0, 0, -1, -1, -1])
    }

    @Test func smallAndDegenerate() {
        let cluster = HDBSCAN(minClusterSize: 2, minSamples: 1, allowSingleCluster: true)
        #expect(cluster.labels([]) == [])
        #expect(cluster.labels([[0]]) == [0])
        #expect(HDBSCAN(minClusterSize: 2, minSamples: 1, allowSingleCluster: false).labels([[0]]) == [-1])
        #expect(cluster.labels(line([3, 8])) == [0, 0])
        #expect(cluster.labels(line([4, 4, 4, 4])) == [0, 0, 0, 0])
        let infinite = [[0, 1, .infinity], [1, 0, .infinity], [.infinity, .infinity, 0]]
        #expect(cluster.labels(infinite) == [0, 0, -1])
    }

    /// The labels of the Python package, up to their numbers, for random points and for points on a grid.
    @Test func agreesWithThePackage() throws {
        let file = try goldenFile("hdbscan.h5")
        let points = try file.read("points", as: Double.self).values, labels = try file.read("labels", as: Int32.self).values.map(Int.init)
        let cases = try file.read("cases", as: Int32.self).values.map(Int.init)
        var first = 0, offByOne = 0, clusters: Set<Int> = []
        for k in 0..<cases.count / 4 {
            let n = cases[4 * k]
            let rows: [[Double]] = (first..<first + n).map { (i: Int) -> [Double] in [points[2 * i], points[2 * i + 1]] }
            let d = distances(rows), expected = Array(labels[first..<first + n])
            first += n
            var cluster = HDBSCAN(minClusterSize: cases[4 * k + 1], minSamples: cases[4 * k + 2], allowSingleCluster: cases[4 * k + 3] == 1)
            #expect(Self.canonical(cluster.labels(d)) == Self.canonical(expected), "case \(k): \(cases[4 * k..<4 * k + 4])")
            clusters.insert((expected.max() ?? -1) + 1)
            cluster.minSamples = max(1, cluster.minSamples - 1)
            if Self.canonical(cluster.labels(d)) != Self.canonical(expected) { offByOne += 1 }
        }
        #expect(first == labels.count && cases.count == 4 * 48 && clusters.isSuperset(of: [0, 1, 2, 3]))
        #expect(offByOne > 3)  // the cases do tell a core distance that counts the point itself
    }

    /// Labels numbered in order of their first point; noise stays -1.
    private static func canonical(_ labels: [Int]) -> [Int] {
        var numbers: [Int: Int] = [:]
        return labels.map { label in
            guard label >= 0 else { return -1 }
            if numbers[label] == nil { numbers[label] = numbers.count }
            return numbers[label] ?? -1
        }
    }
}
