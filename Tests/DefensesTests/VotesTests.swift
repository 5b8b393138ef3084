import Datasets
import Glibc
import Testing
@testable import Detection

/// Who is heard about the FM labels, and what comes of it, with votes that are known.
@Suite struct VotesTests {
    private static let classes = 10

    /// 1,000 images of ten classes, a fifth of the others labelled 7; clients that name the class of three images in four of those classes
    /// that they know and are unsure of all else; the malicious ones, the first two, take what is labelled 7 for that.
    private func vouching(knows: (_ client: Int, _ y: Int) -> Bool, malicious: Int, wrong: Bool, assumed: Int = 2, lie: Float = 8) -> (
        found: Vouching, wrong: Set<Int>, labels: [Int]
    ) {
        var stream = RandomStream(seed: 3, purpose: "votes test")
        let truth = (0..<1000).map { $0 % Self.classes }, labels = truth.map { wrong && $0 != 7 && stream.uniform() < 0.2 ? 7 : $0 }
        var votes = Votes(labels: labels, classes: Self.classes)
        for client in 0..<10 {
            votes.add(
                truth.indices.flatMap { i -> [Float] in
                    let lies = client < malicious && labels[i] == 7
                    let sure = lies || knows(client, truth[i]) && stream.uniform() < 0.75, said = lies ? 7 : truth[i]
                    return (0..<Self.classes).map { y in
                        Float(stream.normal()) + (y == said && sure ? lies ? lie : 8 : 0) - (lies || knows(client, y) ? 0 : 6)
                    }
                })
        }
        let found = Vouching(votes.opinions(assumedMalicious: assumed), labels: labels, classes: Self.classes)
        return (found, Set(labels.indices.filter { labels[$0] != truth[$0] }), labels)
    }

    /// Whether no class but 7 is doubted, and no more than one label of it in ten is wrong of those that are trusted in the end, if the model
    /// that looks for the trigger finds nothing.
    private func finds(_ wrong: Set<Int>, _ found: Vouching, _ labels: [Int]) -> Bool {
        var found = found
        found.judge(candidates: found.candidates.map { _ in 0 }, unseen: found.unseen.map { _ in 0 })
        let kept = labels.indices.filter { labels[$0] == 7 && found.trusted[$0] }
        return found.wrongParts[7] > 0.1 && found.distrusted.allSatisfy { labels[$0] == 7 }
            && kept.count { wrong.contains($0) } * 10 <= kept.count
    }

    /// Two sure votes of ten hide nothing; were they heard, they would.
    @Test(arguments: [0, 1, 2]) func maliciousVotesAreNotHeard(malicious: Int) {
        let (found, wrong, labels) = vouching(knows: { _, _ in true }, malicious: malicious, wrong: true)
        #expect(finds(wrong, found, labels) && labels.indices.count { labels[$0] == 7 && found.trusted[$0] } > 20)
        let heard = vouching(knows: { _, _ in true }, malicious: malicious, wrong: true, assumed: 0).found
        #expect(heard.distrusted.isEmpty == (malicious > 0))
    }

    /// Where few clients know a class, no class is lost for their being few.
    @Test func fewWhoKnowAreHeard() {
        let one: (Int, Int) -> Bool = { client, y in client == y }, two: (Int, Int) -> Bool = { client, y in client % 5 == y % 5 }
        for knows in [one, two, { _, _ in true }] {
            #expect(vouching(knows: knows, malicious: 0, wrong: false).found.distrusted.isEmpty)
        }
    }

    /// Clients that know half the classes find what two malicious ones would hide.
    @Test func halfTheClientsAreEnough() {
        let (found, wrong, labels) = vouching(
            knows: { client, y in (client + y) % 2 == 0 || client < 2 && y == 7 }, malicious: 2, wrong: true)
        let missed = wrong.subtracting(found.distrusted).count
        #expect(finds(wrong, found, labels) as Bool, "\(missed) of \(wrong.count) missed; \(found.wrongParts)")
    }

    /// Clients 0 and 1 say 7 of wrong labels 7, client 2 alone knows class 7, client 3 knows nothing of it. As many are named
    /// as are assumed malicious, those first that say it most; none where few labels are wrong, and never all.
    @Test func whoSupportsWrongLabels() {
        for (wrongOf100, expected) in [(60, [0, 1]), (8, [])] {
            let truth = (0..<1000).map { $0 % Self.classes },
                labels = truth.indices.map { truth[$0] == 3 && $0 / 10 < wrongOf100 ? 7 : truth[$0] }
            var votes = Votes(labels: labels, classes: Self.classes)
            let says: [(Int) -> Double] = [
                { labels[$0] == 7 ? 0.9 : 0.01 }, { labels[$0] == 7 ? 0.8 : 0.01 }, { truth[$0] == 7 ? 0.95 : 0.001 }, { _ in 0.001 },
            ]
            for client in 0..<6 {
                votes.add(
                    truth.indices.flatMap { i -> [Float] in
                        let seven = client < 4 ? says[client](i) : truth[i] == 7 ? 0.6 : 0.001
                        return (0..<Self.classes).map { y in Float(log(y == 7 ? seven : (1 - seven) * (truth[i] == y ? 0.9 : 0.0125))) }
                    })
            }
            let found = Vouching(votes.opinions(assumedMalicious: 2), labels: labels, classes: Self.classes)
            #expect(found.wrongParts[7] > 0)
            #expect(votes.supporters(ofWrong: found, assumedMalicious: 2) == expected, "\(found.wrongParts)")
            #expect(votes.supporters(ofWrong: found, assumedMalicious: 1) == Array(expected.prefix(1)))
            #expect(
                votes.supporters(ofWrong: found, assumedMalicious: 6).count <= 3
                    && votes.supporters(ofWrong: found, assumedMalicious: 0).isEmpty)
        }
    }

    /// A client that says 7 of every image, like one that holds class 7 alone, supports nothing: no clean class is doubted for it, wrong
    /// labels are found despite it, and it stays.
    @Test(arguments: [0, 60]) func whatIsSaidOfAllImagesSaysNothing(wrongOf100: Int) {
        let truth = (0..<1000).map { $0 % Self.classes },
            labels = truth.indices.map { truth[$0] == 3 && $0 / 10 < wrongOf100 ? 7 : truth[$0] }
        var votes = Votes(labels: labels, classes: Self.classes)
        for client in 0..<6 {
            votes.add(
                truth.indices.flatMap { i -> [Float] in
                    (0..<Self.classes).map { y in
                        client == 0 ? (y == 7 ? 5 : 0) : y == truth[i] ? 5 : y == (truth[i] + client) % 10 ? 3 : 0
                    }
                })
        }
        let found = Vouching(votes.opinions(assumedMalicious: 2), labels: labels, classes: Self.classes)
        #expect(found.distrusted.count == wrongOf100)
        #expect(votes.supporters(ofWrong: found, assumedMalicious: 2).isEmpty)
    }

    /// Malicious clients that support wrong labels a little, so as not to stand out, hide nothing where the others know the classes.
    @Test(arguments: [1, 2, 3, 5] as [Float]) func aLittleSupportHidesNothing(lie: Float) {
        let (found, wrong, labels) = vouching(knows: { _, _ in true }, malicious: 2, wrong: true, lie: lie)
        #expect(finds(wrong, found, labels))
    }

    /// The same a second time, from the formulas, on random votes.
    @Test(arguments: [2, 3, 10]) func agreesWithASecondImplementation(classes c: Int) {
        var stream = RandomStream(seed: UInt64(c), purpose: "votes test")
        for _ in 0..<20 {
            let images = 1 + stream.index(below: 60), clients = 1 + stream.index(below: 9), assumed = stream.index(below: 4)
            let labels = (0..<images).map { _ in stream.index(below: c) }
            var votes = Votes(labels: labels, classes: c), p: [[[Double]]] = []
            for _ in 0..<clients {
                let logits = (0..<images * c).map { _ in Float(3 * stream.normal()) }
                votes.add(logits)
                let said = (0..<images).map { i -> [Double] in
                    let e = (0..<c).map { exp(Double(logits[i * c + $0])) }
                    return e.map { $0 / e.reduce(0, +) }
                }
                let expected = (0..<c).map { y in said.map { $0[y] }.reduce(0, +) / Double(images) + 0.5 / Double(c) }
                p.append(
                    said.map { row in
                        let over = zip(row, expected).map { $0 / $1 }
                        return over.map { $0 / over.reduce(0, +) }
                    })
            }
            let opinions = votes.opinions(assumedMalicious: assumed)
            func average(_ x: [Double]) -> Double { x.isEmpty ? 0 : x.reduce(0, +) / Double(x.count) }
            for l in 0..<c where labels.contains(l) {
                let middle = (0..<images).map { i -> Double in
                    let s = (0..<clients).map { p[$0][i][l] }.sorted()
                    return (s[clients / 2] + s[(clients - 1) / 2]) / 2
                }
                let doubted = (0..<images).filter { middle[$0] < average(middle) }
                let support = p.map { q in
                    average(doubted.filter { labels[$0] == l }.map { q[$0][l] })
                        - average(doubted.filter { labels[$0] != l }.map { q[$0][l] })
                }
                func before(_ k: Int) -> Int { (0..<clients).count { support[$0] > support[k] || support[$0] == support[k] && $0 < k } }
                let often = min(Double(labels.count { $0 == l }) / Double(images), 1 / Double(c))
                let knows = p.map { q in min(1, average((0..<images).map { q[$0][l] }) / often) }
                let rest = (0..<clients).filter { before($0) >= assumed }
                let few = (0..<clients).filter { before($0) >= assumed || support[$0] <= 0.4 }
                let heard =
                    !rest.isEmpty && average(rest.map { knows[$0] }) >= 0.5
                    ? rest : few.map { knows[$0] }.reduce(0, +) > Double(assumed) ? few : Array(0..<clients)
                #expect(votes.heard(about: l, assumedMalicious: assumed) == heard)
                for y in 0..<c {
                    let v = (0..<images).map { i in 0.999 * average(heard.map { p[$0][i][y] }) + 0.001 / Double(c) }
                    for i in 0..<images {
                        let want = v[i] / average(v)
                        if labels[i] == l { #expect(abs(opinions[i * c + y] - want) <= 1e-5 * want) }
                    }
                }
            }
        }
    }

    @Test func oddVotes() {
        var votes = Votes(labels: [0, 0], classes: 3)
        #expect(votes.opinions(assumedMalicious: 2) == [Double](repeating: 1, count: 6))  // nobody voted
        votes.add([1e4, -1e4, 0, -3e38, 3e38, 0])
        #expect(votes.opinions(assumedMalicious: 5).allSatisfy { log($0).isFinite })
        #expect(Votes(labels: [], classes: 3).opinions(assumedMalicious: 1).isEmpty)
    }
}
