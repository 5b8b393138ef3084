import HDF5
import Network
import Options
import Testing
@testable import DefenseInterface
@testable import Defenses
@testable import Numerics
@testable import Rules

/// The baselines of Bi and Li's tables by hand: ClippedClustering, SignGuard, RFOut and DP.
@Suite struct ClippedClusteringTests {
    /// G = 0. Three updates along x with norms 1, 4, 2 and one against y with norm 8: S = (2 + 4) / 2 = 3. The larger cluster
    /// is that along x, of which 4 is cut to 3: (1 + 3 + 2) / 3. A round later three of norm 10 come along x and one of norm 10
    /// along y. The eight norms so far are 1 2 4 8 10 10 10 10: S = 9. Without memory it would be 10.
    @Test func remembersNorms() throws {
        let rule = ClippedClustering()
        var context = Toy.context()
        func round(_ models: [[Float]]) throws -> Aggregate {
            try rule.aggregate(Toy.model([0]), Toy.updates(models.map { Toy.model($0) }, images: [5, 1, 1, 9]), &context)
        }
        let first = try round([[1, 0], [4, 0], [2, 0], [0, -8]])
        #expect(Toy.values(first.model, 2) == [2, 0])
        #expect(first.teachers.map { Toy.values($0.parameters, 2) } == [[1, 0], [3, 0], [2, 0]])
        #expect(first.rejected == [3])
        #expect(
            context.state == [[1], [4], [2], [8]].enumerated().reduce(into: [:]) { $0["clip_cluster_client_\($1.offset)"] = $1.element })
        let second = try round([[10, 0], [10, 0], [0, 10], [10, 0]])
        #expect(Toy.values(second.model, 2) == [9, 0])
        #expect(second.rejected == [2])
        #expect(context.state["clip_cluster_client_3"] == [8, 10])
    }

    /// Directions of the updates, not of the models, of which the last would stand apart.
    @Test func comparesUpdates() throws {
        var context = Toy.context()
        let models: [[Float]] = [[101, 0], [102, 0], [99, 0], [101, 0.3]]
        let aggregate = try ClippedClustering().aggregate(Toy.model([100, 0]), Toy.updates(models.map { Toy.model($0) }), &context)
        #expect(aggregate.rejected == [2])
    }

    @Test func smallRounds() throws {
        for n in [1, 2] {
            let text = refusal { _ = try Toy.aggregate(ClippedClustering(), (0..<n).map { Float($0 + 1) }) }
            #expect(text?.contains("clip-cluster needs n >= 3: got n = \(n)") == true)
        }
        // Two against two: the cluster of client 0.
        var context = Toy.context()
        let models: [[Float]] = [[1, 0], [0, 1], [0, 1], [1, 0]]
        #expect(try ClippedClustering().aggregate(Toy.model([0]), Toy.updates(models.map { Toy.model($0) }), &context).rejected == [1, 2])
    }

    /// What a hostile client may send: a norm that no single float holds. It is clipped to S, and memory stays finite.
    @Test func endlessNorms() throws {
        var context = Toy.context()
        let updates = Toy.updates([1, 1, 3e38, -1].map { Toy.model([Float](repeating: $0, count: 32)) })
        let aggregate = try ClippedClustering().aggregate(Toy.model([0]), updates, &context)
        #expect(aggregate.rejected == [3] && aggregate.teachers.count == 3)
        #expect(context.state["clip_cluster_client_2"] == [.greatestFiniteMagnitude])
        for teacher in aggregate.teachers { #expect(Toy.values(teacher.parameters, 32).allSatisfy { abs($0 - 1) < 1e-6 }) }
        context.state["clip_cluster_client_7"] = [-1]
        #expect(refusal { _ = try ClippedClustering().aggregate(Toy.model([0]), updates, &context) }?.contains("norms below 0") == true)
    }

    /// As long as a run can be, its norms are planned for.
    @Test func memoryGrowsWithTheRun() {
        let size = RoundSize(clients: 100, participants: 10, rounds: 1000, modelBytes: 2_000_000)
        #expect(ClippedClustering().memoryNeeded(size) == 10 * (4_000_000 + 4 * 1000))
    }
}

@Suite struct SignGuardTests {
    private func rule() -> SignGuard {
        var rule = SignGuard()
        rule.share = 1  // a tenth would miss the few numbers of the toy
        return rule
    }

    private func aggregate(_ models: [[Float]]) throws -> Aggregate {
        var context = Toy.context()
        return try rule().aggregate(Toy.model([0]), Toy.updates(models.map { Toy.model($0) }), &context)
    }

    /// Signs + + + - five times and - - - - once. Norms 2, 2, 4, 20, 0.1, 2: the median is 2; 20 is above three times and 0.1
    /// below a tenth of it; 4 is cut to 2. Left are the first three, all (1, 1, 1, -1) in the end.
    @Test func signsAndSizes() throws {
        let benign: [Float] = [1, 1, 1, -1]
        let aggregate = try aggregate([1, 1, 2, 10, 0.05].map { factor in benign.map { factor * $0 } } + [[-1, -1, -1, -1]])
        #expect(Toy.values(aggregate.model, 4) == benign)
        #expect(aggregate.teachers.map { Toy.values($0.parameters, 4) } == [benign, benign, benign])
        #expect(aggregate.rejected == [3, 4, 5])
    }

    /// Zeros are a sign of their own: updates of equal direction, of which one leaves most numbers alone.
    @Test func zerosCount() throws {
        let even = (0..<32).map { _ in Float(0.5) }
        let sparse = [Float(0.5 * 32.squareRoot())] + [Float](repeating: 0, count: 31)
        #expect(try aggregate([even, even, sparse, even, even]).rejected == [2])
    }

    /// Four alike, two of them far too loud and two far too quiet, are the largest cluster; the four others differ from them and
    /// among each other in their signs. Nobody passes both.
    @Test func nobodyPasses() throws {
        func update(up: Int, down: Int, norm: Float) -> [Float] {
            let size = norm / Float(up + down).squareRoot()
            return (0..<8).map { $0 < up ? size : $0 < up + down ? -size : 0 }
        }
        let alike = [1000, 1000, 0.001, 0.001].map { update(up: 8, down: 0, norm: $0) }
        let others = [(0, 8), (4, 4), (1, 0), (0, 1)].map { update(up: $0.0, down: $0.1, norm: 1) }
        let aggregate = try aggregate(alike + others)
        #expect(aggregate.rejected == Array(0..<8))
        #expect(Toy.values(aggregate.model, 8) == [Float](repeating: 0, count: 8) && aggregate.teachers.count == 1)
    }

    @Test func smallRoundsAreRefused() {
        for n in 1...3 {
            let text = refusal { _ = try Toy.aggregate(SignGuard(), (0..<n).map { Float($0 + 1) }) }
            #expect(text?.contains("sign-guard needs n >= 4: got n = \(n)") == true)
        }
    }
}

@Suite struct RFOutTests {
    private func one(_ numbers: [Float], _ delta: Double) throws -> (value: Float, notes: [String]) {
        var rule = RFOut()
        rule.deviations = delta
        let aggregate = try Toy.aggregate(rule, numbers, images: numbers.indices.map { 1 + $0 })
        #expect(aggregate.teachers.count == numbers.count && aggregate.rejected == nil)
        return (Toy.values(aggregate.model, 1)[0], aggregate.notes)
    }

    /// 0, 0, 0, 4: mean 1, deviation sqrt(3). At delta = 1, 4 is out and the rest is 0; with the mean in its place it would be
    /// 0.25. Ten zeros and 11: mean 1, deviation sqrt(10), and 10 > 3 sqrt(10). Divided by n - 1 the deviation would be sqrt(11)
    /// and 10 > 3 sqrt(11) still; 0, 0, 0, 4 at delta 1.6 tells: 3 > 1.6 sqrt(3) = 2.77, but not 1.6 * 2 = 3.2.
    @Test func leavesOutOutliers() throws {
        #expect(try one([0, 0, 0, 4], 1).value == 0)
        #expect(try one([0, 0, 0, 4], 1.6).value == 0)
        #expect(try one([0, 0, 0, 4], 1.8).value == 1)
        let eleven = try one([Float](repeating: 0, count: 10) + [11], 3)
        #expect(eleven.value == 0 && eleven.notes.isEmpty)
    }

    /// Of ten values none is more than three deviations off: one that stands alone is exactly there, and stays, whatever rounding
    /// makes of it. The rule says that it did nothing.
    @Test func tenClientsAreTooFewForThreeDeviations() throws {
        let cases: [(many: Float, single: Float)] = [(0.1, 0.7), (0.1, Float(0.1).nextUp), (-3e-5, 1), (0.3, -0.1), (1, 1 + 0x1p-23)]
        for (many, single) in cases {
            let found = try one([Float](repeating: many, count: 9) + [single], 3), mean = (9 * Double(many) + Double(single)) / 10
            #expect(found.value == Float(mean), "\(many) and \(single)")
            #expect(
                found.notes == [
                    "rfout: no value of n = 10 lies more than sqrt(n - 1) deviations from the mean; delta = 3.0 left out nothing"
                ])
        }
    }

    /// Below delta = 1 all may lie outside: the mean then.
    @Test func neverNothing() throws {
        #expect(try one([1, 3], 0.5).value == 2)
        #expect(try one([5], 3).value == 5)
    }
}

@Suite struct DifferentialPrivacyTests {
    /// (3, 4) has norm 5 and is halved by M = 2.5; (0, 1) stays. Numbers of images do not count: the mean of (1.5, 2), (0, 1).
    @Test func everyClientCountsTheSame() throws {
        var rule = DifferentialPrivacy(), context = Toy.context()
        (rule.limit, rule.noise) = (2.5, 0)
        let aggregate = try rule.aggregate(
            Toy.model([10, 10]), Toy.updates([Toy.model([13, 14]), Toy.model([10, 11])], images: [300, 100]), &context)
        #expect(Toy.values(aggregate.model, 2) == [10.75, 11.5])
        #expect(aggregate.teachers.map { Toy.values($0.parameters, 2) } == [[11.5, 12], [10, 11]])
        #expect(aggregate.rejected == nil)
    }

    /// Sun's deviation by default, once, whatever the number of clients; not the numbers that norm clipping would draw.
    @Test func noise() throws {
        var context = Toy.context(), quiet = DifferentialPrivacy(), settings = Settings()
        quiet.noise = 0
        settings[NormClip.noise] = 0.025
        let global = Toy.random(1), updates = Toy.updates((2..<6).map { Toy.random($0, around: global, deviation: 0.001) })
        let plain = try quiet.aggregate(global, updates, &context).model
        let noisy = try DifferentialPrivacy().aggregate(global, updates, &context).model
        expectNoise(noisy, plain, deviation: 0.025)
        #expect(!Toy.equal(noisy, try NormClip(settings).aggregate(global, updates, &context).model))
        context.round += 1
        #expect(!Toy.equal(noisy, try DifferentialPrivacy().aggregate(global, updates, &context).model))
    }
}

/// Average linkage and mean shift, by hand and against scikit-learn.
@Suite struct ClustersTests {
    private func line(_ points: [Double]) -> [[Double]] { points.map { a in points.map { abs(a - $0) } } }

    /// Of 0, 2, 5, 8.5 the first two join, at 2. Then 5 is 4 from them on average (3 at the nearest, 5 at the farthest) and 3.5
    /// from 8.5: single linkage would join it to the left. Of 0, 2, 5, 9.5 complete linkage would join it to the right.
    @Test func averages() {
        #expect(averageLinkage(line([0, 2, 5, 8.5]), clusters: 2) == [[0, 1], [2, 3]])
        #expect(averageLinkage(line([0, 2, 5, 9.5]), clusters: 2) == [[0, 1, 2], [3]])
        #expect(averageLinkage(line([9.5, 0, 5, 2]), clusters: 2) == [[0], [1, 2, 3]])
        #expect(averageLinkage(line([3, 3, 3]), clusters: 2) == [[0, 1], [2]])
        #expect(averageLinkage(line([7]), clusters: 2) == [[0]])
        #expect(averageLinkage([], clusters: 2).isEmpty)
    }

    /// Within 1: 0, 0.5, 1 gather at 0.5, 5 stands alone, nearest of 0 to 5.
    @Test func shifts() {
        #expect(MeanShift(bandwidth: 1).labels([[5], [0], [0.5], [1]]) == [1, 0, 0, 0])
        #expect(MeanShift(bandwidth: 0).labels([[5], [0], [5], [1]]) == [0, 2, 0, 1])  // equals: largest coordinates first
        // 0.7 / 7 is not 0.1.
        #expect(MeanShift(bandwidth: 0).labels([[0.1], [0.1], [0.1], [0.1], [0.1], [0.1], [0.1]]) == [0, 0, 0, 0, 0, 0, 0])
        #expect(MeanShift.bandwidth([[0], [1], [3], [7]], quantile: 0.5) == (1 + 1 + 2 + 4) / 4)
        #expect(MeanShift.bandwidth([[0], [1], [3]], quantile: 0.5) == 0)
        #expect(MeanShift(bandwidth: 1).labels([]).isEmpty && MeanShift.bandwidth([], quantile: 0.5) == 0)
    }

    @Test func agreeWithScikitLearn() throws {
        let file = try goldenFile("clusters.h5"), cases = try file.read("cases", as: Int32.self).values.map(Int.init)
        let numbers = try file.read("points", as: Double.self).values, bandwidths = try file.read("bandwidth", as: Double.self).values
        let linkage = try file.read("linkage", as: Int32.self).values.map(Int.init),
            shift = try file.read("shift", as: Int32.self).values.map(Int.init)
        #expect(cases.count == 80 && bandwidths.count == 40)
        var first = 0
        for at in 0..<cases.count / 2 {
            let n = cases[2 * at], own = first..<first + n
            let points = own.map { Array(numbers[3 * $0..<3 * $0 + 3]) }
            let distances = points.map { a in points.map { b in zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot() } }
            var labels = [Int](repeating: -1, count: n)
            for (label, members) in averageLinkage(distances, clusters: cases[2 * at + 1]).enumerated() {
                for i in members { labels[i] = label }
            }
            #expect(labels == Array(linkage[own]), "average linkage, case \(at)")
            let bandwidth = MeanShift.bandwidth(points, quantile: 0.5)
            #expect(abs(bandwidth - bandwidths[at]) <= 0x1p-45 * bandwidth, "bandwidth, case \(at)")
            #expect(MeanShift(bandwidth: bandwidth).labels(points) == Array(shift[own]), "mean shift, case \(at)")
            first += n
        }
        #expect(first == linkage.count)
    }
}
