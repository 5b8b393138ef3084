import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// FoolsGold and FLTrust by hand.
@Suite struct TrustTests {
    private func round(_ context: inout RuleContext, _ clients: [Int], _ models: [[Float]]) throws -> Aggregate {
        let updates = zip(clients, models).map { ClientUpdate(client: $0, images: 10, parameters: Toy.model($1)) }
        return try FoolsGold().aggregate(Toy.model([0]), updates, &context)
    }

    /// Two sybils point the same way with different strength, the third its own way.
    @Test func sybilsLoseTheirWeight() throws {
        var context = Toy.context()
        let aggregate = try round(&context, [0, 1, 2], [[1, 0, 0], [5, 0, 0], [0, 2, 0]])
        #expect(Toy.values(aggregate.model, 3) == [0, 2, 0])
        #expect(aggregate.rejected == [0, 1])
        #expect(aggregate.teachers.map(\.weight) == [1])
    }

    /// Round 1: clients 0 and 1 go along x and y. Round 2: client 1 along y again, client 2 along x. By client number the
    /// histories are (0, 2) and (1, 0): both count, the mean is (1/2, 1/2). By position they would be (1, 1) twice: sybils.
    @Test func historyGoesByClient() throws {
        var context = Toy.context()
        _ = try round(&context, [0, 1], [[1, 0], [0, 1]])
        let second = try round(&context, [1, 2], [[0, 1], [1, 0]])
        #expect(Toy.values(second.model, 2) == [0.5, 0.5])
        #expect(Set(context.state.keys) == ["foolsgold_client_0", "foolsgold_client_1", "foolsgold_client_2"])
        #expect(context.state["foolsgold_client_1"]?.count == Toy.network.parameterCount)
        #expect(context.state["foolsgold_client_1"]?.filter { $0 != 0 } == [2])
    }

    /// The memory is the rule's whole state: a copy of it, as a file brings it back, goes on exactly.
    @Test func resumesFromItsMemory() throws {
        var context = Toy.context()
        _ = try round(&context, [0, 1, 2], [[1, 2, 0], [0, 1, 3], [2, 0, 0.5]])
        var resumed = Toy.context(), forgotten = Toy.context()
        resumed.state = context.state
        let models: [[Float]] = [[1, 1, 0], [1, 0.5, 0], [0, 0, 1]]
        let went = try round(&context, [0, 1, 2], models).model
        #expect(Toy.equal(went, try round(&resumed, [0, 1, 2], models).model))
        #expect(!Toy.equal(went, try round(&forgotten, [0, 1, 2], models).model))
        resumed.state["foolsgold_client_0"] = [1, 2]
        #expect(refusal { _ = try round(&resumed, [0, 1, 2], models) }?.contains("client 0 has 2 numbers") == true)
    }

    /// c01 = 0.6, c02 = 0.3, c12 = 0.2. v = 0.6, 0.6, 0.3; c20 is pardoned to 0.3 * 0.3 / 0.6 = 0.15, c21 to 0.1. 1 - max:
    /// 0.4, 0.4, 0.85; divided by the largest 0.470588, 0.470588, 1 -> 0.99; ln(8 / 9) + 0.5 = 0.382217, and 5.1 cut to 1.
    @Test func pardoningAndLogit() {
        let weights = FoolsGold.weights([[1, 0.6, 0.3], [0.6, 1, 0.2], [0.3, 0.2, 1]], 1)
        #expect(zip(weights, [0.382217, 0.382217, 1]).allSatisfy { abs($0 - $1) < 2e-5 }, "\(weights)")
        // Without pardoning the third would have 0.7: 0.4 / 0.7 gives 0.5 + ln(4 / 3) = 0.788.
    }

    @Test func equalHistoriesMakeNoStep() throws {
        var context = Toy.context()
        let aggregate = try round(&context, [0, 1], [[1, 2], [1, 2]])
        #expect(Toy.values(aggregate.model, 2) == [0, 0] && aggregate.rejected == [0, 1] && aggregate.teachers.count == 1)
        #expect(Toy.values(try round(&context, [7], [[1, 2]]).model, 2) == [1, 2])  // a client by itself is no sybil
    }

    /// g0 = (2, 0). (4, 0) has cosine 1 and becomes (2, 0); (0, 3) has 0; (3, 4) has 0.6 and becomes (1.2, 1.6); (-1, 0) less
    /// than 0. ((2, 0) + 0.6 (1.2, 1.6)) / 1.6 = (1.7, 0.6). Without a reference it would be the mean, (1.5, 1.75).
    @Test func trustIsMeasuredOnTheServersUpdate() throws {
        var context = Toy.context(server: Toy.server(trained: Toy.model([3, 1])))
        let models = [[5, 1], [1, 4], [4, 5], [0, 1]].map { Toy.model($0) }
        let aggregate = try FLTrust().aggregate(Toy.model([1, 1]), Toy.updates(models, images: [1, 500, 30, 70]), &context)
        let values = Toy.values(aggregate.model, 2)
        #expect(abs(values[0] - 2.7) < 1e-6 && abs(values[1] - 1.6) < 1e-6)
        #expect(aggregate.rejected == [1, 3])
        #expect(zip(aggregate.teachers.map(\.weight), [0.625, 0.375]).allSatisfy { abs($0 - $1) < 1e-12 })
        let second = Toy.values(aggregate.teachers[1].parameters, 2)
        #expect(abs(second[0] - 2.2) < 1e-6 && abs(second[1] - 2.6) < 1e-6)
    }

    @Test func nobodyTrustedMeansNoStep() throws {
        var context = Toy.context(server: Toy.server(trained: Toy.model([3, 1])))
        let global = Toy.model([1, 1])
        let aggregate = try FLTrust().aggregate(global, Toy.updates([Toy.model([0, 1]), Toy.model([1, 1])]), &context)
        #expect(Toy.equal(aggregate.model, global) && aggregate.rejected == [0, 1])
        #expect(aggregate.teachers.map { Toy.equal($0.parameters, global) } == [true])
    }

    @Test func refuseWithoutServer() {
        for rule in [FLTrust(), DeepSight()] as [any AggregationRule] {
            var context = Toy.context()
            #expect(
                refusal { _ = try rule.aggregate(Toy.model([0]), Toy.updates([Toy.model([1])]), &context) }?.contains("FM data") == true)
        }
        var context = Toy.context(server: Toy.server(trained: Toy.model([.nan])))
        #expect(refusal { _ = try FLTrust().aggregate(Toy.model([0]), Toy.updates([Toy.model([1])]), &context) }?.contains("NaN") == true)
    }
}
