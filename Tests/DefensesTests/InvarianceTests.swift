import Network
import Options
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// What holds of every rule.
@Suite struct InvarianceTests {
    static let names = AggregationRules.names

    @Test func listedInTheOrderOfTheTables() {
        #expect(
            Self.names == [
                "none", "norm-clip", "dp", "krum", "multi-krum", "median", "trimmed-mean", "rfout", "bulyan", "rfa", "rlr",
                "foolsgold", "flame", "deepsight", "clip-cluster", "sign-guard", "fltrust",
            ])
        #expect(AggregationRules.make("nobody") == nil)
    }

    private func settings() -> Settings {
        var settings = Settings()
        settings[DeepSight.images] = 3
        return settings
    }

    private static let global = Toy.random(1)
    private static let models: [Parameters] = (0..<9).map { (k: Int) -> Parameters in
        Toy.random(UInt64(2 + k), around: global, deviation: 0.01 * Float(1 + k % 3))
    }

    /// Copies: no rule may write to them.
    private func round() -> (global: Parameters, updates: [ClientUpdate], server: RuleServer) {
        (
            Parameters(copying: Self.global),
            Toy.updates(Self.models.map(Parameters.init(copying:)), images: (0..<9).map { 100 + 37 * $0 }),
            Toy.server(trained: Self.models[4])
        )
    }

    /// To the bit: whatever order updates come in, and on any number of threads.
    @Test(arguments: names) func orderAndThreadsDoNotShow(name: String) throws {
        let rule = try #require(AggregationRules.make(name, settings())), round = round()
        var context = Toy.context(f: 2, threads: 1, server: round.server)
        let first = try rule.aggregate(round.global, round.updates, &context)
        for (threads, shift) in [(1, 4), (3, 0), (2, 7)] {
            var other = Toy.context(f: 2, threads: threads, server: round.server)
            let updates = round.updates.indices.map { round.updates[($0 * 2 + shift) % 9] }
            let aggregate = try rule.aggregate(round.global, updates, &other)
            #expect(Toy.equal(aggregate.model, first.model) && aggregate.rejected == first.rejected)
            #expect(aggregate.teachers.map(\.weight) == first.teachers.map(\.weight))
            #expect(zip(aggregate.teachers, first.teachers).allSatisfy { Toy.equal($0.parameters, $1.parameters) })
            #expect(other.state == context.state)
        }
        #expect(
            Toy.equal(round.global, Self.global) && zip(round.updates, Self.models).allSatisfy { Toy.equal($0.parameters, $1) },
            "a model was written to")
    }

    /// When all clients send the same model, that is the result. (For FoolsGold they are one sybil: no step. The noise of
    /// FLAME and DP and norm clipping's limit are out of the way.)
    @Test(arguments: names) func equalUpdatesGiveThatUpdate(name: String) throws {
        let global = Self.global, same = Toy.random(2, around: global, deviation: 0.001)
        var context = Toy.context(f: 1, server: Toy.server(trained: same))
        var flame = FLAME(), dp = DifferentialPrivacy()
        (flame.noise, dp.noise) = (0, 0)
        let quiet: [any AggregationRule] = [flame, dp]
        let rule = try #require(quiet.first { type(of: $0).name == name } ?? AggregationRules.make(name, settings()))
        let updates = Toy.updates((0..<7).map { _ in Parameters(copying: same) }, images: [1, 20, 300, 4, 50, 60, 7])
        let aggregate = try rule.aggregate(global, updates, &context)
        #expect(Toy.equal(aggregate.model, name == FoolsGold.name ? global : same))
    }

    @Test(arguments: names) func refusesWhatIsNoRound(name: String) throws {
        let rule = try #require(AggregationRules.make(name, settings())), good = Toy.model([1])
        func text(_ updates: [ClientUpdate]) -> String? {
            var context = Toy.context(server: Toy.server(trained: good))
            return refusal { _ = try rule.aggregate(Toy.model([0]), updates, &context) }
        }
        let five = Toy.updates((0..<5).map { Toy.model([Float($0)]) })
        #expect(text(five) == nil)
        #expect(text(five + [ClientUpdate(client: 7, images: 1, parameters: Toy.model([.nan]))])?.contains("client 7") == true)
        #expect(text(five + [ClientUpdate(client: 7, images: 1, parameters: Toy.model([.infinity]))])?.contains("client 7") == true)
        #expect(text(five + [ClientUpdate(client: 3, images: 1, parameters: good)])?.contains("client 3 sent two") == true)
        #expect(text([])?.contains("images") == true)
        #expect(text([ClientUpdate(client: 0, images: 0, parameters: good)])?.contains("client 0: 0") == true)
    }

    /// Sums over vectors against plain loops, at every length around a whole number of lanes.
    @Test func blockSums() {
        for count in 0...33 {
            let a = (0..<count).map { Float(sinLike($0)) }, b = (0..<count).map { Float(sinLike($0 + 50)) }
            a.withUnsafeBufferPointer { x in
                b.withUnsafeBufferPointer { y in
                    guard let x = x.baseAddress, let y = y.baseAddress else { return }
                    let distance = zip(a, b).reduce(0) { $0 + (Double($1.0) - Double($1.1)) * (Double($1.0) - Double($1.1)) }
                    let product = zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
                    #expect(abs(blockDistance(x, y, count) - distance) <= Double(count) * 0x1p-50)
                    #expect(abs(blockProduct(x, y, count) - product) <= Double(count) * 0x1p-50)
                }
            }
        }
        let a = Toy.random(1), b = Toy.random(2), g = Toy.random(3)
        let kernels = InstructionSet.best.kernels, matrix = squaredDistances([a, b, g], kernels, threads: 2)
        #expect(matrix[0][1] == squaredDistance(a, b) && matrix[1][0] == matrix[0][1] && matrix[2][2] == 0)
        var direct = 0.0
        for k in 0..<a.count { direct += (Double(a.base[k]) - Double(g.base[k])) * (Double(b.base[k]) - Double(g.base[k])) }
        #expect(abs(updateProduct(a, b, around: g) - direct) <= 1e-9 * abs(direct))
    }

    /// Matrices of pairs are the sums of each pair, to the bit, on every instruction set, in one strip or in three.
    @Test func pairsOfModels() {
        let models = (1...7).map { Toy.random(UInt64($0)) }, g = Toy.random(8)
        for set in InstructionSet.available {
            for (strip, threads) in [(3, 2), (stripModels, 1)] {
                let distances = squaredDistances(models, set.kernels, threads: threads, strip: strip)
                let dots = products(models, set.kernels, threads: threads, strip: strip)
                let updates = updateProducts(models, around: g, set.kernels, threads: threads, strip: strip)
                for (i, a) in models.enumerated() {
                    for (j, b) in models.enumerated() {
                        #expect(distances[i][j] == squaredDistance(a, b) && dots[i][j] == product(a, b), "\(set) \(strip)")
                        #expect(updates[i][j] == updateProduct(a, b, around: g), "\(set) \(strip)")
                    }
                }
            }
        }
    }

    private func sinLike(_ i: Int) -> Double { Double((i * 37 + 11) % 29) / 14.5 - 1 }

    @Test func canonicalOrderThereAndBack() {
        let model = Toy.random(5)
        #expect(Parameters(Toy.network, flattened: model.flattened).map { Toy.equal($0, model) } == true)
        #expect(Parameters(Toy.network, flattened: [1, 2]) == nil)
        let elements = Toy.network.elements, flattened = model.flattened
        #expect(elements.allSatisfy { model.base[Int($0.place)] == flattened[Int($0.index)] })
        #expect(Set(elements.map(\.index)).count == Toy.network.parameterCount && elements.count == Toy.network.parameterCount)
    }
}
