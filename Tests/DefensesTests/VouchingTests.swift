import Datasets
import Glibc
import Testing
@testable import Detection

/// What labels are worth, on opinions that are known.
@Suite struct VouchingTests {
    static let classes = 4

    /// Logits that give `sure` to class y and share the rest.
    private func logits(_ truth: [Int], sure: Double) -> [Float] {
        truth.flatMap { y in (0..<Self.classes).map { $0 == y ? Float(log(sure)) : Float(log((1 - sure) / Double(Self.classes - 1))) } }
    }

    /// 100 images of each class; of class 1, 20 are labelled 2; the federation is certain.
    private var moved: (truth: [Int], labels: [Int]) {
        let truth = (0..<400).map { $0 % 4 }
        return (truth, truth.indices.map { truth[$0] == 1 && $0 / 4 < 20 ? 2 : truth[$0] })
    }

    @Test func certainOpinionsCountLabels() {
        let (truth, labels) = moved, vouching = Vouching(logits: logits(truth, sure: 1 - 1e-9), labels: labels, classes: 4)
        for y in 0..<4 {
            for l in 0..<4 {
                let expected = y == 1 ? (l == 1 ? 0.8 : l == 2 ? 0.2 : 0) : y == l ? 1 : 0
                #expect(abs(vouching.mislabelled[y * 4 + l] - expected) <= 1e-4, "T(\(y), \(l)) = \(vouching.mislabelled[y * 4 + l])")
                let counted = y == l || (y, l) == (1, 2) ? 1 : Vouching.least
                #expect(vouching.counted[y * 4 + l] == counted)
            }
        }
        #expect(vouching.overruled == truth.indices.filter { truth[$0] != labels[$0] })
        #expect(vouching.audit.first?.value == "20 of 400")
    }

    /// An image that the federation knows nothing of: its label is believed, but where it is doubted.
    @Test func labelsDecideWhereNobodyMislabels() {
        let (truth, labels) = moved, unknown: [Float] = [0, 0, 0, 0]
        let vouching = Vouching(logits: logits(truth, sure: 0.97) + unknown + unknown, labels: labels + [3, 2], classes: 4)
        let q = vouching.targets, of3 = q[1600..<1604].map(Double.init), of2 = q[1604..<1608].map(Double.init)
        let weight = 1 / (1 + 3 * 0.05), shared = 1 / (2 + 2 * 0.05)
        #expect(zip(of3, [0.05 * weight, 0.05 * weight, 0.05 * weight, weight]).allSatisfy { abs($0 - $1) < 1e-6 }, "\(of3)")
        #expect(zip(of2, [0.05 * shared, shared, shared, 0.05 * shared]).allSatisfy { abs($0 - $1) < 1e-6 }, "\(of2)")
        #expect((0..<402).allSatisfy { i in abs(q[i * 4..<i * 4 + 4].reduce(0, +) - 1) < 1e-6 })
    }

    /// What was doubted once stays so, and nothing else does.
    @Test func doubtStays() {
        let truth = moved.truth, said = logits(truth, sure: 0.97)
        let before = Vouching(logits: said, labels: moved.labels, classes: 4)
        let alone = Vouching(logits: said, labels: truth, classes: 4), after = Vouching(logits: said, labels: truth, classes: 4, earlier: before.counted)
        #expect(alone.counted[1 * 4 + 2] == Vouching.least && after.counted[1 * 4 + 2] == 1)
        #expect(zip(alone.counted, after.counted).count { $0 != $1 } == 1)
    }

    /// The estimate, a second time: as logarithms, all responsibilities at once, and the likelihood, which no step lowers.
    @Test func theEstimateMaximisesTheLikelihood() {
        var stream = RandomStream(seed: 5, purpose: "vouching test")
        let n = 300, k = 5
        let said = (0..<n * k).map { _ in Float(2 * stream.normal()) }, labels = (0..<n).map { _ in stream.index(below: k) }
        let v = (0..<n).map { i -> [Double] in
            let row = said[i * k..<(i + 1) * k].map { exp(Double($0)) }, sum = row.reduce(0, +)
            return row.map { $0 / sum }
        }
        var t = (0..<k).map { y in (0..<k).map { $0 == y ? 0.9 : 0.1 / Double(k - 1) } }, likelihoods: [Double] = []
        for _ in 0..<Vouching.iterations {
            let joint = (0..<n).map { i in (0..<k).map { y in v[i][y] * t[y][labels[i]] } }
            likelihoods.append(joint.reduce(0) { $0 + log($1.reduce(0, +)) })
            let shares = joint.map { row in row.map { exp(log($0) - log(row.reduce(0, +))) } }
            for y in 0..<k {
                let counts = (0..<k).map { l in 0.001 + (0..<n).reduce(0) { $0 + (labels[$1] == l ? shares[$1][y] : 0) } }
                t[y] = counts.map { $0 / counts.reduce(0, +) }
            }
        }
        #expect(zip(likelihoods, likelihoods.dropFirst()).allSatisfy { $0 <= $1 + 1e-6 } && likelihoods[0] < likelihoods[29] - 1)
        let found = Vouching(logits: said, labels: labels, classes: k).mislabelled
        #expect(zip(found, t.flatMap { $0 }).allSatisfy { abs($0 - $1) <= 1e-9 })
        #expect((0..<k).allSatisfy { y in abs(found[y * k..<(y + 1) * k].reduce(0, +) - 1) <= 1e-12 })
    }

    /// One judge who is right six times in ten is enough to see where a fifth was moved, and that noise goes nowhere.
    @Test func aWeakJudgeSeesWhereLabelsWereMoved() {
        var stream = RandomStream(seed: 6, purpose: "vouching test")
        let n = 2_000, k = 10, truth = (0..<n).map { $0 % k }
        let said = truth.flatMap { y -> [Float] in
            let guess = stream.uniform() < 0.6 ? y : stream.index(below: k)
            return (0..<k).map { Float(log($0 == guess ? 0.64 : 0.04)) }
        }
        let poisoned = truth.map { stream.uniform() < 0.2 ? 7 : $0 }
        let noisy = truth.map { stream.uniform() < 0.1 ? ($0 + 1 + stream.index(below: k - 1)) % k : $0 }
        func moved(_ labels: [Int], to l: Int) -> Double {
            let t = Vouching(logits: said, labels: labels, classes: k).mislabelled
            return (0..<k).reduce(0) { $0 + ($1 == l ? 0 : t[$1 * k + l]) } / Double(k - 1)
        }
        #expect(abs(moved(poisoned, to: 7) - 0.2) < 0.05, "\(moved(poisoned, to: 7))")
        #expect((0..<k).allSatisfy { $0 == 7 || moved(poisoned, to: $0) < 0.03 })
        #expect((0..<k).allSatisfy { moved(noisy, to: $0) < 0.04 } && (0..<k).allSatisfy { moved(truth, to: $0) < 0.03 })
    }
}
