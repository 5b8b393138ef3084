import Datasets
import Glibc
import Testing
@testable import Detection

/// Which labels are used, on opinions that are known.
@Suite struct VouchingTests {
    /// Logits of one image: class y has `sure`, the others share the rest.
    private func says(_ y: Int, _ sure: Double, of classes: Int = 4) -> [Float] {
        (0..<classes).map { Float(log($0 == y ? sure : (1 - sure) / Double(classes - 1))) }
    }

    /// Images of four classes, labelled right, but some of the first of class 1, labelled 2. p is the federation's of the true class.
    private func moved(_ count: Int, of images: Int = 400, sure: Double = 0.97) -> (logits: [Float], labels: [Int]) {
        let truth = (0..<images).map { $0 % 4 }
        return (truth.flatMap { says($0, sure) }, truth.indices.map { truth[$0] == 1 && $0 / 4 < count ? 2 : truth[$0] })
    }

    @Test func contradictedLabelsAreNotUsed() {
        // v = 0.97 and 0.01: 0.01 < 0.97 / 20.
        let (logits, labels) = moved(4), vouching = Vouching(logits: logits, labels: labels, classes: 4)
        #expect(vouching.unused == [1, 5, 9, 13] && vouching.accused.isEmpty)               // 4 of 104: 3.8 %
        // v = 0.82 and 0.06: no contradiction.
        let (weak, same) = moved(4, sure: 0.82)
        #expect(Vouching(logits: weak, labels: same, classes: 4).unused.isEmpty)
        let q = vouching.targets
        #expect(q[4..<8].allSatisfy { $0 == 0 } && Array(q[8..<12]) == [0, 0, 1, 0] && q.reduce(0, +) == 396)
    }

    /// From 4 % of contradicted labels on, a class is accused, and only what is affirmed stays of it.
    @Test func ofAnAccusedClassOnlyAffirmedLabelsAreUsed() {
        let unclear = says(2, 0.85) + says(2, 0.95) + says(3, 0.85)
        let (logits, labels) = moved(5), more = labels + [2, 2, 3]
        let vouching = Vouching(logits: logits + unclear, labels: more, classes: 4)
        #expect(vouching.accused == [2])                                                    // 5 of 107: 4.7 %
        #expect(vouching.unused == [1, 5, 9, 13, 17, 400])
        let free = Vouching(logits: logits + unclear, labels: more, classes: 4, accused: [])
        #expect(free.unused == [1, 5, 9, 13, 17] && free.accused.isEmpty)
        #expect(Vouching(logits: logits + unclear, labels: more, classes: 4, accused: [2, 3]).unused == [1, 5, 9, 13, 17, 400, 402])
        #expect(vouching.audit.map(\.value).prefix(2) == ["6 of 403", "2"])
    }

    /// All to all: every class is accused. Random labels, too. Right ones accuse nobody, however unsure the federation is.
    @Test func everyClassMayBeAccused() {
        var stream = RandomStream(seed: 6, purpose: "vouching test")
        let n = 2_000, k = 10, truth = (0..<n).map { $0 % k }
        func labelled(_ wrong: (Int) -> Int) -> [Int] { truth.map { stream.uniform() < 0.2 ? wrong($0) : $0 } }
        let next = labelled { ($0 + 1) % k }, random = labelled { _ in Int(stream.next() % UInt64(k)) }, one = labelled { _ in 7 }
        for sure in [0.5, 0.8, 0.99] {
            let logits = truth.flatMap { says($0, sure, of: k) }
            func accused(_ labels: [Int]) -> [Int] { Vouching(logits: logits, labels: labels, classes: k).accused }
            #expect(accused(truth).isEmpty)
            #expect(accused(next) == (sure > 0.6 ? Array(0..<k) : []) && accused(random) == accused(next))
            #expect(accused(one) == (sure > 0.6 ? [7] : []))
        }
    }

    /// The same a second time, from probabilities and sets, on random opinions and labels.
    @Test(arguments: [2, 3, 10]) func agreesWithASecondImplementation(classes: Int) {
        var stream = RandomStream(seed: UInt64(classes), purpose: "vouching test")
        for _ in 0..<50 {
            let n = 1 + stream.index(below: 80), spread = 1 + 3 * stream.uniform()
            let logits = (0..<n * classes).map { _ in Float(spread * stream.normal()) }, labels = (0..<n).map { _ in stream.index(below: classes) }
            let rows = (0..<n).map { i in logits[i * classes..<(i + 1) * classes].map { exp(Double($0)) } }
            let p = rows.map { row in row.map { $0 / row.reduce(0, +) } }
            let against = Set((0..<n).filter { i in p[i].contains { $0 * 0.05 > p[i][labels[i]] } })
            var accused: [Int] = []
            for c in 0..<classes {
                let images = (0..<n).filter { labels[$0] == c }
                if !images.isEmpty, Double(images.count { against.contains($0) }) > 0.04 * Double(images.count) { accused.append(c) }
            }
            let unused = (0..<n).filter { accused.contains(labels[$0]) ? p[$0][labels[$0]] < 0.9 : against.contains($0) }
            let vouching = Vouching(logits: logits, labels: labels, classes: classes)
            #expect(vouching.accused == accused && vouching.unused == unused)
        }
    }

    @Test func logitsOfAnySizeWillDo() {
        let vouching = Vouching(logits: [1e4, -1e4, 0, -3e38, 3e38, 0], labels: [0, 0], classes: 3, accused: [])
        #expect(vouching.uses(0) && !vouching.uses(1) && Vouching(logits: [], labels: [], classes: 3).accused.isEmpty)
    }
}
