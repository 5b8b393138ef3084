import Scratch
import Testing
@testable import Datasets

@Suite struct PartitionTests {
    /// Ten classes of unequal sizes; only the 1000 odd indices are dealt.
    private let labels: [UInt16] = (0..<2000).map { (k: Int) -> UInt16 in UInt16(k % 7 < 4 ? k % 10 : k % 3) }
    private var indices: [Int] { stride(from: 1, to: 2000, by: 2).map { $0 } }

    @Test(arguments: ["iid", "dirichlet:0.1", "dirichlet:0.5", "dirichlet:100", "shards:1", "shards:2", "shards:7"])
    func isAPartition(text: String) throws {
        let partition = try #require(Partition(text: text))
        for clients in [1, 2, 7, 10] {
            let shares = try partition.split(labels: labels, among: indices, clients: clients, seed: 5)
            let all = shares.flatMap { $0 }
            #expect(shares.count == clients && shares.allSatisfy { !$0.isEmpty && $0 == $0.sorted() })
            #expect(Set(all).count == all.count && Set(all).isSubset(of: Set(indices)))
            #expect(partition == .iid ? all.count == 1000 / clients * clients : all.count == 1000)
            #expect(try partition.split(labels: labels, among: indices, clients: clients, seed: 5) == shares)
            if clients > 1 { #expect(try partition.split(labels: labels, among: indices, clients: clients, seed: 6) != shares) }
            let capped = try partition.split(labels: labels, among: indices, clients: clients, imagesPerClient: 50, seed: 5)
            for (share, whole) in zip(capped, shares) {
                #expect(share.count == min(50, whole.count) && Set(share).isSubset(of: Set(whole)))
            }
        }
    }

    /// Owners 3, 7 and 900 of the odd indices: all of them as clients, in the order of their numbers, or some.
    @Test func natural() throws {
        let owners = (0..<2000).map { UInt32([7, 7, 900, 3, 3, 3][$0 % 6]) }, partition = try #require(Partition(text: "natural"))
        func split(_ clients: Int, seed: UInt64 = 5) throws -> [[Int]] {
            try partition.split(labels: labels, among: indices, clients: clients, owners: owners, seed: seed)
        }
        // Nobody's index is 900's: they are even.
        #expect(try split(2) == [indices.filter { owners[$0] == 3 }, indices.filter { owners[$0] == 7 }])
        #expect(try Set((0..<20).map { try split(1, seed: $0)[0] }).count == 2)
        #expect(throws: DatasetError.self) { _ = try split(3) }
        #expect(throws: DatasetError.self) { _ = try partition.split(labels: labels, among: indices, clients: 2, seed: 5) }
    }

    /// The mean over clients of the total variation distance between a client's label distribution and everyone's.
    private func skew(_ partition: Partition) throws -> Double {
        func distribution(_ indices: [Int]) -> [Double] {
            var counts = [Double](repeating: 0, count: 10)
            for index in indices { counts[Int(labels[index])] += 1 / Double(indices.count) }
            return counts
        }
        let everyone = distribution(indices)
        let shares = try partition.split(labels: labels, among: indices, clients: 10, seed: 1)
        return shares.map { share in zip(distribution(share), everyone).map { abs($0 - $1) / 2 }.reduce(0, +) }.reduce(0, +) / 10
    }

    @Test func skewGrowsAsTheConcentrationFalls() throws {
        let skews = try [.iid, .dirichlet(1), .dirichlet(0.1)].map(skew)
        #expect(skews[0] < 0.15 && skews[0] < skews[1] && skews[1] < skews[2] && skews[2] > 0.4)
        #expect(try abs(skew(.dirichlet(1e6)) - 0) < 0.05)  // every class is cut evenly
    }

    @Test func shardsHoldFewClasses() throws {
        let balanced = (0..<1000).map { UInt16($0 % 10) }
        let shares = try Partition.shards(2).split(labels: balanced, among: Array(0..<1000), clients: 10, seed: 1)
        #expect(shares.allSatisfy { $0.count == 100 && Set($0.map { balanced[$0] }).count <= 2 })
    }

    @Test func dirichletDrawsAreOfTheirDistribution() {
        var stream = RandomStream(seed: 2, purpose: "test")
        for a in [1e-4, 0.1, 1, 50] {
            let draws = (0..<20_000).map { _ in Partition.dirichlet(4, a, &stream) }
            #expect(draws.allSatisfy { abs($0.reduce(0, +) - 1) <= 1e-12 })
            let mean = draws.map { $0[0] }.reduce(0, +) / 20_000
            let variance = draws.map { ($0[0] - 0.25) * ($0[0] - 0.25) }.reduce(0, +) / 20_000
            let truth = 0.25 * 0.75 / (4 * a + 1)  // Var of Dirichlet(a, a, a, a)
            #expect(abs(mean - 0.25) <= 5 * (truth / 20_000).squareRoot())
            #expect(abs(variance - truth) <= 0.05 * truth)
        }
    }

    @Test func textForms() throws {
        for text in ["iid", "dirichlet:0.5", "dirichlet:1", "dirichlet:100", "shards:2"] {
            #expect(Partition(text: text)?.description == text)
        }
        for text in [
            "", "IID", "iid:1", "dirichlet", "dirichlet:", "dirichlet:0", "dirichlet:-1", "dirichlet:nan", "dirichlet:inf",
            "dirichlet:1e9", "shards", "shards:0", "shards:1.5", "shards:2:2", "shards:99999999999999999999",
        ] {
            #expect(Partition(text: text) == nil, "\(text)")
        }
    }

    @Test func whatCannotBeMet() {
        func split(_ partition: Partition, _ count: Int, _ clients: Int, cap: Int? = nil) -> String? {
            message { _ = try partition.split(labels: labels, among: Array(0..<count), clients: clients, imagesPerClient: cap, seed: 1) }
        }
        #expect(split(.iid, 9, 10)?.contains("expected at least 1 image for each, got 9 in all") == true)
        #expect(split(.shards(3), 29, 10)?.contains("expected at least 3 images for each, got 29 in all") == true)
        #expect(
            split(.iid, 10, 0) != nil && split(.shards(1000), 10, .max) != nil && split(.iid, 10, -1) != nil
                && split(.iid, 10, 1, cap: 0) != nil)
        #expect(split(.dirichlet(0.001), 100, 50)?.contains("in each of 200 draws of 100 images") == true)
        #expect(split(.iid, 10, 10) == nil)
    }
}
