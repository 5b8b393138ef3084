import Datasets
import Glibc
import Testing
@testable import Detection

/// Which labels are believed, on opinions that are known.
@Suite struct VouchingTests {
    /// Logits of one image: class y has `sure`, the others share the rest.
    private func says(_ y: Int, _ sure: Double, of classes: Int) -> [Float] {
        (0..<classes).map { Float(log($0 == y ? sure : (1 - sure) / Double(classes - 1))) }
    }

    private func vouching(_ truth: [Int], _ labels: [Int], sure: Double, of classes: Int = 10) -> Vouching {
        Vouching(logits: truth.flatMap { says($0, sure, of: classes) }, labels: labels, classes: classes)
    }

    /// Labels of 2,000 images of ten classes, a share of them moved.
    private func moved(_ share: Double, _ wrong: (Int) -> Int) -> (truth: [Int], labels: [Int], wrong: [Int]) {
        var stream = RandomStream(seed: 6, purpose: "vouching test")
        let truth = (0..<2_000).map { $0 % 10 }, labels = truth.map { stream.uniform() < share ? wrong($0) : $0 }
        return (truth, labels, truth.indices.filter { truth[$0] != labels[$0] })
    }

    /// One target, the next class, any class: all that is moved is found, and what it shows.
    @Test(arguments: [0.05, 0.2, 0.4]) func wrongLabelsAreNotBelieved(share: Double) {
        var stream = RandomStream(seed: 7, purpose: "vouching test")
        let ways: [(Int) -> Int] = [{ _ in 7 }, { ($0 + 1) % 10 }, { _ in stream.index(below: 10) }]
        for way in share > 0.1 ? ways : Array(ways.prefix(2)) {         // one wrong label in twenty, spread over all classes, is too few of each
            let (truth, labels, wrong) = moved(share, way), vouching = vouching(truth, labels, sure: 0.99)
            #expect(vouching.distrusted == wrong)
            #expect(wrong.allSatisfy { vouching.beliefs[$0 * 10 + truth[$0]] > 0.5 })
        }
    }

    /// T is what was done to the labels.
    @Test func theShareOfWrongLabelsIsFound() {
        let (truth, labels, _) = moved(0.2) { _ in 7 }, t = vouching(truth, labels, sure: 0.99).mislabelling
        for y in 0..<10 where y != 7 {
            let images = truth.indices.filter { truth[$0] == y }, share = Double(images.count { labels[$0] == 7 }) / Double(images.count)
            #expect(abs(t[y * 10 + 7] - share) < 0.02 && abs(t[y * 10 + y] - (1 - share)) < 0.02)
        }
        #expect(t[7 * 10 + 7] > 0.99)
    }

    /// Right labels stay, however unsure the federation is.
    @Test(arguments: [0.3, 0.5, 0.9]) func rightLabelsStay(sure: Double) {
        let (truth, labels, _) = moved(0) { $0 }
        #expect(vouching(truth, labels, sure: sure).distrusted.isEmpty)
    }

    /// The same a second time, written with probabilities and sums over images, on random opinions and labels.
    @Test(arguments: [2, 3, 10]) func agreesWithASecondImplementation(classes k: Int) {
        var stream = RandomStream(seed: UInt64(k), purpose: "vouching test")
        for _ in 0..<20 {
            let n = 1 + stream.index(below: 80), spread = 1 + 3 * stream.uniform()
            let logits = (0..<n * k).map { _ in Float(spread * stream.normal()) }, labels = (0..<n).map { _ in stream.index(below: k) }
            let v = (0..<n).map { i -> [Double] in
                let e = (0..<k).map { exp(Double(logits[i * k + $0])) }
                return e.map { 0.99 * $0 / e.reduce(0, +) + 0.01 / Double(k) }
            }
            var T = (0..<k).map { y in (0..<k).map { $0 == y ? 0.9 : 0.1 / Double(k - 1) } }
            func q(_ i: Int) -> [Double] {
                let w = (0..<k).map { v[i][$0] * T[$0][labels[i]] }
                return w.map { $0 / w.reduce(0, +) }
            }
            for _ in 0..<200 {
                let all = (0..<n).map(q), before = T
                for y in 0..<k {
                    let mass = all.reduce(0) { $0 + $1[y] }
                    for l in 0..<k { T[y][l] = (0..<n).filter { labels[$0] == l }.reduce(0) { $0 + all[$1][y] } / mass }
                }
                if zip(T.joined(), before.joined()).allSatisfy({ abs($0 - $1) <= 1e-6 }) { break }
            }
            let vouching = Vouching(logits: logits, labels: labels, classes: k), want = (0..<n).flatMap(q)
            #expect(zip(vouching.beliefs, want).allSatisfy { abs($0 - $1) < 1e-9 })
            for l in 0..<k {                                                            // the most that leave a twentieth wrong
                let mine = (0..<n).filter { labels[$0] == l && want[$0 * k + l] > 0.5 }.sorted { (want[$0 * k + l], $1) > (want[$1 * k + l], $0) }
                let most = (0...mine.count).last { m in mine.prefix(m).reduce(0) { $0 + 1 - want[$1 * k + l] } <= 0.05 * Double(m) }
                #expect(mine.map { vouching.trusted[$0] } == mine.indices.map { $0 < most ?? 0 })
            }
            #expect(zip(vouching.mislabelling, T.joined()).allSatisfy { abs($0 - $1) < 1e-9 })
        }
    }

    @Test func logitsOfAnySizeWillDo() {
        let vouching = Vouching(logits: [1e4, -1e4, 0, -3e38, 3e38, 0], labels: [0, 0], classes: 3)
        #expect(vouching.beliefs.allSatisfy { $0.isFinite } && vouching.trusted[0])
        #expect(Vouching(logits: [], labels: [], classes: 3).distrusted.isEmpty)
    }
}
