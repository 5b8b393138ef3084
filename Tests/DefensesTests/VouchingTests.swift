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
        Self.vouching(logits: truth.flatMap { says($0, sure, of: classes) }, labels: labels, classes: classes)
    }

    /// With a single client.
    private static func vouching(logits: [Float], labels: [Int], classes: Int) -> Vouching {
        var votes = Votes(labels: labels, classes: classes)
        votes.add(logits)
        return Vouching(votes.opinions(assumedMalicious: 0), labels: labels, classes: classes)
    }

    /// Labels of 2,000 images of ten classes, a share of them moved.
    private func moved(_ share: Double, _ wrong: (Int) -> Int) -> (truth: [Int], labels: [Int], wrong: [Int]) {
        var stream = RandomStream(seed: 6, purpose: "vouching test")
        let truth = (0..<2_000).map { $0 % 10 }, labels = truth.map { stream.uniform() < share ? wrong($0) : $0 }
        return (truth, labels, truth.indices.filter { truth[$0] != labels[$0] })
    }

    /// One target, the next class, any class: all that is moved is found, and how much it is.
    @Test(arguments: [0.05, 0.2, 0.4]) func wrongLabelsAreNotTrusted(share: Double) {
        var stream = RandomStream(seed: 7, purpose: "vouching test")
        let ways: [(Int) -> Int] = [{ _ in 7 }, { ($0 + 1) % 10 }, { _ in stream.index(below: 10) }]
        for way in share > 0.1 ? ways : Array(ways.prefix(1)) {  // one wrong label in twenty, spread over all classes, is too few of each
            let (truth, labels, _) = moved(share, way), vouching = vouching(truth, labels, sure: 0.99)
            let wrong = labels.indices.filter { labels[$0] != truth[$0] }
            #expect(vouching.distrusted == wrong)
            let shown = vouching.shown([Float](repeating: 0, count: wrong.count * 10))
            #expect(zip(wrong.indices, wrong).allSatisfy { row, i in shown[row * 10 + truth[i]] > 0.95 })
            for l in 0..<10 {
                let mine = labels.indices.filter { labels[$0] == l }, part = Double(mine.count { truth[$0] != l }) / Double(mine.count)
                #expect(abs(vouching.wrongParts[l] - part) < 0.02)
            }
        }
    }

    /// What `judge` makes of a candidate, by the formulas of `Vouching` in full.
    private func judged(_ p: Double, _ scale: Double, carries: Bool, m: Double, f: Double) -> Double {
        let odds = scale * p / (1 - p)
        return carries ? odds * (1 - m) / (odds * (1 - m) + f) : odds * m / (odds * m + 1 - f)
    }

    /// Three candidates of 200 carry the trigger, fewer than an attacker draws of the target: their labels are believed less than those of
    /// others, by how likely they are wrong. Where the model misses the unseen, the votes alone are believed.
    @Test func theModelJudges() {
        let (truth, labels, wrong) = moved(0.2) { _ in 7 }
        for (sure, missing) in [(0.99, false), (0.6, false), (0.6, true)] {
            var vouching = vouching(truth, labels, sure: sure)
            let candidates = vouching.candidates, unseen = vouching.unseen, n = Double(candidates.count)
            #expect(candidates == labels.indices.filter { labels[$0] == 7 && truth[$0] == 7 } && unseen.count == (wrong.count + 4) / 5)
            #expect(vouching.lesson.count == 2_000 - candidates.count - unseen.count && Set(vouching.lesson).isDisjoint(with: unseen))
            let said = candidates.indices.map { $0 < 3 ? 7 : 1 }
            vouching.judge(candidates: said, unseen: unseen.map { _ in missing ? 1 : 7 })
            let m = 1 / Double(unseen.count + 2), doubted = Set(wrong)
            let w = candidates.indices.map { place -> Double in
                let p = vouching.wrong[candidates[place]]
                return missing ? p : judged(p, 1, carries: place < 3, m: m, f: 4 / (n + 2))
            }
            #expect(vouching.candidates == zip(candidates, w).filter { $1 <= 0.02 }.map(\.0))
            #expect(vouching.candidates.count == (missing ? 0 : candidates.count - 3))
            let shown = vouching.shown([Float](repeating: 3e4, count: 10 * vouching.distrusted.count))
            let expected = Dictionary(uniqueKeysWithValues: zip(candidates, w))
            for (row, i) in vouching.distrusted.enumerated() {
                let sum = shown[row * 10..<row * 10 + 10].reduce(0, +), w = expected[i] ?? 1
                #expect(abs(sum - 1) < 1e-6 && abs(Double(shown[row * 10 + 7]) - (doubted.contains(i) || w > 0.5 ? 0 : 1 - w)) < 1e-6)
            }
        }
    }

    /// Where the model finds many more wrong labels than the votes expect, the odds of all candidates rise, until they come to so many; but one
    /// in ten of the images with the trigger shows the target.
    @Test func votesThatMissMuchAreNotBelieved() {
        let (truth, labels, wrong) = moved(0.2) { _ in 7 }
        for found in [3, 180] {
            var vouching = vouching(truth, labels, sure: 0.6)
            let candidates = vouching.candidates, p = vouching.wrong[candidates[0]], n = Double(candidates.count)
            let m = 1 / Double(vouching.unseen.count + 2), showIt = min(Double(found), Double(wrong.count + found) / 10)
            let count = (Double(found) - showIt) / (1 - m), f = (min(showIt, n - count) + 1) / (n - count + 2)
            vouching.judge(candidates: candidates.indices.map { $0 < found ? 7 : 1 }, unseen: vouching.unseen.map { _ in 7 })
            let scale = max(1, count / (n - count) / (p / (1 - p)))  // of candidates that all have the same odds
            #expect((scale > 1) == (found > 100))
            for (place, i) in candidates.enumerated() {
                #expect(vouching.trusted[i] == (judged(p, scale, carries: place < found, m: m, f: f) <= 0.02))
            }
        }
    }

    /// Where labels are wrong by chance there is no trigger to learn: the model misses what it has not seen, and what it says is not believed.
    @Test func aModelThatLearnedNothingIsNotBelieved() {
        let (truth, labels, _) = moved(0.2) { ($0 * 3 + 1) % 10 }
        var vouching = vouching(truth, labels, sure: 0.99)
        let candidates = vouching.candidates, said = candidates.indices.map { $0 % 20 == 0 ? labels[candidates[$0]] : -1 }
        vouching.judge(candidates: said, unseen: vouching.unseen.map { _ in -1 })
        #expect(vouching.candidates == candidates)
    }

    /// A federation that seldom says some classes, as few of its clients have them, still trusts their labels, and finds a target among
    /// them.
    @Test func aClassThatIsSeldomSaidIsNotAccused() {
        var stream = RandomStream(seed: 8, purpose: "vouching test")
        for share in [0, 0.2] {
            let (truth, labels, wrong) = moved(share) { _ in 7 }
            let logits = truth.flatMap { y -> [Float] in
                (0..<10).map { Float(stream.normal() + ($0 == y ? 10 : 0) - ($0 < 3 || $0 == 7 ? 6 : 0)) }
            }
            let said = truth.indices.count { i in logits[i * 10 + truth[i]] == logits[i * 10..<i * 10 + 10].max()! }
            #expect(said < 1_995)  // of 2,000
            let distrusted = Self.vouching(logits: logits, labels: labels, classes: 10).distrusted
            #expect(Set(wrong).subtracting(distrusted).count <= 10 && distrusted.allSatisfy { share > 0 && labels[$0] == 7 })
        }
    }

    /// A class whose labels are explained by wrong ones hardly better than by right ones is not accused: here all images of class 7 look
    /// as much like class 8, so that any part of wrong labels explains them.
    @Test(arguments: [20, 200]) func aPartThatExplainsNothingAccusesNobody(ofClass: Int) {
        let truth = (0..<10).flatMap { [Int](repeating: $0, count: ofClass) }
        var opinions = truth.flatMap { y in (0..<10).map { $0 == y ? 5.0 : 0.5 } }
        for i in truth.indices where truth[i] == 7 { for y in 0..<10 { opinions[i * 10 + y] = 1 + (y == 8 ? 0.02 : 0) } }
        let vouching = Vouching(opinions, labels: truth, classes: 10)
        #expect(vouching.wrongParts == [Double](repeating: 0, count: 10) && vouching.distrusted.isEmpty && vouching.candidates.isEmpty)
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
                return e.map { 0.999 * Double(Float($0 / e.reduce(0, +))) + 0.001 / Double(k) }
            }
            let means = (0..<k).map { y in v.reduce(0) { $0 + $1[y] } / Double(n) }
            var part = [Double](repeating: 0.1, count: k)
            func p(_ i: Int) -> Double {  // Bayes, with both likelihoods in full
                let l = labels[i], ifRight = v[i][l] / means[l]
                let ifWrong = (0..<k).filter { $0 != l }.map { v[i][$0] / means[$0] / Double(k - 1) }.reduce(0, +)
                return part[l] * ifWrong / (part[l] * ifWrong + (1 - part[l]) * ifRight)
            }
            var want: [Double] = []
            for _ in 0..<200 {
                want = (0..<n).map(p)
                let before = part
                for l in 0..<k {
                    let mine = (0..<n).filter { labels[$0] == l }
                    part[l] = mine.isEmpty ? 0 : mine.reduce(0) { $0 + want[$1] } / Double(mine.count)
                }
                if zip(part, before).allSatisfy({ abs($0 - $1) <= 1e-6 }) { break }
            }
            for l in 0..<k {  // whether the part is worth a parameter, by the products of the likelihoods
                let mine = (0..<n).filter { labels[$0] == l }
                let better = mine.reduce(1) { better, i in
                    let ifRight = v[i][l] / means[l]
                    let ifWrong = (0..<k).filter { $0 != l }.map { v[i][$0] / means[$0] / Double(k - 1) }.reduce(0, +)
                    return better * (part[l] * ifWrong + (1 - part[l]) * ifRight) / ifRight
                }
                guard better <= sqrt(Double(n)) else { continue }
                part[l] = 0
                for i in mine { want[i] = 0 }
            }
            let vouching = Vouching((0..<n * k).map { v[$0 / k][$0 % k] / means[$0 % k] }, labels: labels, classes: k)
            #expect(zip(vouching.wrong, want).allSatisfy { abs($0 - $1) < 1e-9 })
            for l in 0..<k {
                let mine = (0..<n).filter { labels[$0] == l }
                guard part[l] > 0 else {
                    #expect(mine.allSatisfy { vouching.trusted[$0] })
                    continue
                }
                #expect(mine.allSatisfy { vouching.trusted[$0] == (want[$0] <= 0.5) })
                #expect(vouching.candidates.filter { labels[$0] == l } == mine.filter { want[$0] <= 0.5 })
                #expect((vouching.lesson + vouching.unseen).sorted().filter { labels[$0] == l } == mine.filter { want[$0] > 0.5 })
                let says = vouching.distrusted.flatMap { i in (0..<k).map { Float(($0 * 7 + i) % 5) } }, shown = vouching.shown(says)
                for (row, i) in vouching.distrusted.enumerated() where labels[i] == l {  // given that the label is wrong
                    let r = (0..<k).map { $0 == l ? 0 : v[i][$0] / means[$0] * exp(Double(says[row * k + $0])) }, sum = r.reduce(0, +)
                    #expect((0..<k).allSatisfy { abs(Double(shown[row * k + $0]) - r[$0] / sum) < 1e-6 })
                }
            }
            #expect(zip(vouching.wrongParts, part).allSatisfy { abs($0 - $1) < 1e-9 })
        }
    }

    @Test func logitsOfAnySizeWillDo() {
        let vouching = Self.vouching(logits: [1e4, -1e4, 0, -3e38, 3e38, 0], labels: [0, 0], classes: 3)
        #expect(vouching.wrong.allSatisfy { (0...1).contains($0) } && vouching.wrongParts[2] == 0)
        #expect(Self.vouching(logits: [], labels: [], classes: 3).distrusted.isEmpty)
    }
}
