import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// Krum, Multi-Krum and Bulyan on numbers whose scores can be added up by hand.
@Suite struct SelectionTests {
    /// n = 7, f = 1: four neighbours count. At 4: 1 + 4 + 4 + 9 = 18, at 5: 1 + 1 + 1 + 16 = 19, all others above.
    /// With plain distances 5 would win, 7 against 8.
    @Test func krumSquaresDistances() throws {
        let aggregate = try Toy.aggregate(Krum(), [1, 6, 5, 1, 6, 0, 4], f: 1)
        #expect(Toy.values(aggregate.model, 1) == [4])
        #expect(aggregate.rejected == [0, 1, 2, 3, 4, 5])
        #expect(aggregate.teachers.map { Toy.values($0.parameters, 1) } == [[4]])
    }

    /// n = 5, f = 1: two neighbours. At 10: 1 + 16 = 17, at 3: 9 + 9 = 18. Fourth powers: 257 against 162.
    @Test func krumSquaresOnce() throws {
        #expect(try Toy.one(Krum(), [6, 3, 11, 0, 10], f: 1) == 10)
    }

    /// Over both layers (2, 5) has 1 + 13 = 14, (4, 2) and (5, 3) have 15. The first layer alone would choose (1, 5), the
    /// second (4, 2).
    @Test func krumTakesAllLayersAtOnce() throws {
        let points: [(Float, Float)] = [(4, 2), (5, 3), (0, 1), (2, 5), (1, 5)]
        var context = Toy.context(f: 1)
        let models = points.map { Toy.model([$0.0], ["fc1/bias": [$0.1]]) }
        let model = try Krum().aggregate(Toy.model([0]), Toy.updates(models), &context).model
        #expect(Toy.values(model, 1) == [2] && Toy.values(model, 1, "fc1/bias") == [5])
    }

    /// The four of the five with the lowest scores, 17, 18, 25 and 26: without 0. By images (1 + 3 + 1 + 1):
    /// (6 + 3 * 3 + 11 + 10) / 6.
    @Test func multiKrum() throws {
        let aggregate = try Toy.aggregate(MultiKrum(), [6, 3, 11, 0, 10], images: [1, 3, 1, 9, 1], f: 1)
        #expect(Toy.values(aggregate.model, 1) == [6])
        #expect(aggregate.rejected == [3])
        #expect(aggregate.teachers.map { Toy.values($0.parameters, 1)[0] } == [6, 3, 11, 10])
    }

    /// Equal scores: the lower client number, in whatever order the updates came.
    @Test func tiesGoToTheLowerClient() throws {
        var context = Toy.context()
        let updates = [3, 1, 2, 0].map { ClientUpdate(client: $0, images: 1, parameters: Toy.model([$0 < 2 ? Float($0) : Float(9 + $0)])) }
        // 0, 1, 11, 12: with f = 0 two neighbours; 1 has 1 + 100, 11 too.
        #expect(Toy.values(try Krum().aggregate(Toy.model([0]), updates, &context).model, 1) == [1])
    }

    @Test func krumRefusesTooFewClients() {
        for n in [1, 2, 5, 6] {
            for refused in [
                refusal { _ = try Toy.aggregate(Krum(), (0..<n).map { Float($0) }, f: 2) },
                refusal { _ = try Toy.aggregate(MultiKrum(), (0..<n).map { Float($0) }, f: 2) },
            ] {
                #expect(
                    refused?.contains("2f + 2 < n: got n = \(n)") == true && refused?.contains("f = 2") == true, "\(refused ?? "accepted")")
            }
        }
        #expect(refusal { _ = try Toy.aggregate(Krum(), (0..<7).map { Float($0) }, f: 2) } == nil)
    }

    /// n = 7, f = 1. Scores with four neighbours: 15, 33, 49, 18, 39, 105, 22: 3 goes first. Then with three: 17 for 4; with
    /// two: 8 for 8; with one: 1 for 1 and for 2, whose client number is higher; 16 for all of 6, 10, 2: 6 is first.
    /// Selected 1 3 4 6 8; nearest to the median 4 are 3, 4, 6. Selected at once it would be 1 2 3 4 6 and 2 3 4; without
    /// trimming the mean would be 4.4.
    @Test func bulyanSelectsOneByOneAndTrims() throws {
        let aggregate = try Toy.aggregate(Bulyan(), [3, 6, 8, 4, 1, 10, 2], f: 1)
        #expect(Toy.values(aggregate.model, 1) == [Float(13.0 / 3)])
        #expect(aggregate.rejected == [5, 6])
        #expect(aggregate.notes.isEmpty)
    }

    /// Every coordinate has its own nearest values: f = 1 of 7 equal clients but for one that is far in the second only.
    @Test func bulyanWorksOnCoordinates() throws {
        var context = Toy.context(f: 1)
        let models = (0..<7).map { Toy.model([Float($0), $0 == 3 ? 1000 : 1]) }
        let values = Toy.values(try Bulyan().aggregate(Toy.model([0]), Toy.updates(models), &context).model, 2)
        #expect(values[1] == 1 && values[0] > 0 && values[0] < 6)
    }

    /// 10 clients carry f = 1 only: (10 - 3) / 4.
    @Test func bulyanLowersFAndSaysSo() throws {
        let numbers = (0..<10).map { Float($0 * $0) }
        let lowered = try Toy.aggregate(Bulyan(), numbers, f: 2), plain = try Toy.aggregate(Bulyan(), numbers, f: 1)
        #expect(Toy.equal(lowered.model, plain.model) && plain.notes.isEmpty)
        #expect(lowered.notes == ["bulyan: f lowered from 2 to 1, as n = 10 is below 4f + 3 = 11"])
        #expect(refusal { _ = try Toy.aggregate(Bulyan(), [1, 2]) }?.contains("n >= 4f + 3: got n = 2") == true)
        #expect(try Toy.one(Bulyan(), [1, 2, 6]) == 3)  // f = 0: the mean
    }
}
