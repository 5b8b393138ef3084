import Attacks
import Datasets
import Network
import Testing
@testable import Federation

/// FM data that nobody poisoned and that are poor all the same.
@Suite struct ServerDataTests {
    private func labels(_ change: (inout RunConfiguration) -> Void) throws -> (data: ServerData, true: ImageSet) {
        var c = RunConfiguration()
        (c.attack, c.target) = (.none, 0)
        change(&c)
        let set = Toy.set(400)
        return (try ServerData(c, ClampNet(channels: 1, classes: set.classes), set), set)
    }

    @Test func labelNoiseGivesOtherLabelsToItsPart() throws {
        let (data, set) = try labels { $0.labelNoise = 0.1 }
        let changed = (0..<400).filter { data.synthetic.label($0) != Int(set.labels[$0]) }
        #expect(changed.count == 40)
        #expect(Set(changed.map(data.synthetic.label)).count > 3, "of any class")
        #expect(data.synthetic.poisonedPositions.isEmpty)
        let again = try labels { $0.labelNoise = 0.1 }.data
        #expect((0..<400).allSatisfy { again.synthetic.label($0) == data.synthetic.label($0) })
        let all = try labels { $0.labelNoise = 1 }.data
        #expect((0..<400).allSatisfy { all.synthetic.label($0) != Int(set.labels[$0]) })
    }

    /// 10 to the power -k / (K - 1) of each class, of 400 / K images.
    @Test func imbalanceFallsGeometrically() throws {
        let (data, set) = try labels { $0.imbalance = 10 }
        let counts = (0..<set.classes).map { label in (0..<data.synthetic.count).count { data.synthetic.label($0) == label } }
        let all = (0..<set.classes).map { label in set.labels.count { Int($0) == label } }
        #expect(counts.first == all.first && counts.last == Int((Double(all[set.classes - 1]) / 10).rounded()))
        #expect(zip(counts, counts.dropFirst()).allSatisfy { $0 >= $1 })
    }

    @Test func withoutEitherTheDataAreAsTheyWere() throws {
        let (data, set) = try labels { _ in }
        #expect(data.synthetic.count == 400 && data.synthetic.set == set)
    }
}
