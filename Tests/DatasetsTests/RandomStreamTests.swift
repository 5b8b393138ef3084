import Tensor
import Testing
@testable import Datasets

@Suite struct RandomStreamTests {
    private func first(_ stream: RandomStream) -> [UInt64] {
        var stream = stream
        return (0..<3).map { _ in stream.next() }
    }

    /// From an implementation of SplitMix64 and of the naming hash in Python.
    @Test func knownAnswers() {
        #expect(first(RandomStream(seed: 1, purpose: "partition")) == [0x5941ea0114688e10, 0x888bf0b9ea4d06b8, 0xb849de6dbf462638])
        #expect(
            first(RandomStream(seed: 1, purpose: "batch", round: 3, client: 7)) == [
                0x736849a7b946972b, 0x6c6cb8564d5020b, 0x399e6dc77371e6a2,
            ])
        #expect(
            first(RandomStream(seed: .max, purpose: "", round: -1, client: -1)) == [
                0x23a472e42ecff7c9, 0x7ccf3ca1525ba8bc, 0xce9a9323077f0020,
            ])
    }

    @Test func skips() {
        var stream = RandomStream(seed: 1, purpose: "partition")
        #expect(first(stream.skipping(0)) == first(stream))
        let later = stream.skipping(5)
        for _ in 0..<5 { _ = stream.next() }
        #expect(first(later) == first(stream))
    }

    @Test func namesGiveDifferentStreams() {
        var seen: Set<UInt64> = [], count = 0
        for seed in 0..<4 as Range<UInt64> {
            for purpose in ["a", "b", "ab", "ba", ""] {
                for round in 0..<20 {
                    for client in 0..<20 {
                        var stream = RandomStream(seed: seed, purpose: purpose, round: round, client: client)
                        seen.insert(stream.next())
                        count += 1
                    }
                }
            }
        }
        #expect(seen.count == count)
    }

    /// Mean and variance within 5 standard errors of n draws.
    private func check(_ draws: [Double], mean: Double, variance: Double, fourth: Double) {
        let n = Double(draws.count), m = draws.reduce(0, +) / n
        let v = draws.map { ($0 - m) * ($0 - m) }.reduce(0, +) / n
        #expect(abs(m - mean) <= 5 * (variance / n).squareRoot())
        #expect(abs(v - variance) <= 5 * ((fourth - variance * variance) / n).squareRoot())
    }

    @Test func distributions() {
        var stream = RandomStream(seed: 7, purpose: "test"), n = 100_000
        let uniform = (0..<n).map { _ in stream.uniform() }
        #expect(uniform.allSatisfy { $0 >= 0 && $0 < 1 })
        check(uniform, mean: 0.5, variance: 1.0 / 12, fourth: 1.0 / 80)
        check((0..<n).map { _ in stream.normal() }, mean: 0, variance: 1, fourth: 3)
        for shape in [0.1, 0.5, 1, 2.5, 20] {  // fourth central moment of Gamma(a): 3 a^2 + 6 a
            check((0..<n).map { _ in stream.gamma(shape: shape) }, mean: shape, variance: shape, fourth: 3 * shape * shape + 6 * shape)
        }
        n = 60_000
        var counts = [Double](repeating: 0, count: 6)
        for _ in 0..<n { counts[stream.index(below: 6)] += 1 }
        let chi2 = counts.map { ($0 - 10_000) * ($0 - 10_000) / 10_000 }.reduce(0, +)
        #expect(chi2 <= 25.7)  // 5 degrees of freedom, p = 1e-4
    }

    @Test func permutations() {
        var stream = RandomStream(seed: 3, purpose: "test"), counts: [[Int]: Int] = [:]
        for _ in 0..<24_000 { counts[stream.permutation(4), default: 0] += 1 }
        #expect(counts.count == 24)
        let chi2 = counts.values.reduce(0.0) { (sum: Double, n: Int) -> Double in sum + Double((n - 1000) * (n - 1000)) / 1000 }
        #expect(chi2 <= 59)  // 23 degrees of freedom, p = 5e-5
        #expect(stream.permutation(0) == [] && stream.permutation(1) == [0])
    }
}
