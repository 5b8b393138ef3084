import Attacks
import Datasets
import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// ANP, Fine-Pruning, and pruning by votes.
@Suite struct ModelDefensesPruningTests {
    @Test func adversarialPruningIsPublishedFromTenThousandImages() {
        let method = AdversarialPruning()
        #expect(method.schedule(10_000) == .init(iterations: 2000, batch: 128))
        #expect(method.schedule(2_000) == .init(iterations: 750, batch: 16))
        #expect(method.plannedPasses(2_000) == 36_000)
    }

    /// A unit of fc1 that sleeps on every image (its weights and its bias cancel) and, awake, makes everything class 0.
    /// Noise wakes it, so its mask falls and it is pruned; the unit's weights go and its bias stays.
    @Test func adversarialPruningFindsAPlantedSleeper() throws {
        let model = ModelToy.scaled(0.1), context = ModelToy.context(400), samples = context.synthetic
        let maps = FinePruning.LastConvolution(model, samples, context).activity()
        let weight = 4 / Float(maps.reduce(0, +) * 16)  // the unit's sum over an average image is 4
        ModelToy.edit(model, "fc1/weight") { for i in 0..<2048 { $0[7 * 2048 + i] = weight } }
        ModelToy.edit(model, "fc1/bias") { $0[7] = -5 }
        ModelToy.edit(model, "fc2/weight") { for k in 0..<5 { $0[k * 128 + 7] = k == 0 ? 4 : 0 } }
        #expect(ModelToy.accuracy(model) > 0.95)

        let outcome = try AdversarialPruning().apply(model, context)
        let weights = ModelToy.values(outcome.parameters, "fc1/weight")
        #expect(weights[7 * 2048..<8 * 2048].allSatisfy { $0 == 0 }, "\(outcome.audit)")
        #expect(ModelToy.values(outcome.parameters, "fc1/bias")[7] == -5)
        #expect(ModelToy.values(outcome.parameters, "fc2/weight") == ModelToy.values(model, "fc2/weight"))
        #expect(ModelToy.accuracy(outcome.parameters) > 0.9, "\(outcome.audit)")
        #expect(outcome.passes == AdversarialPruning().plannedPasses(400))
    }

    @Test func accuracyDecidesHowManyChannelsGo() {
        #expect(FinePruning.channels([0.9, 0.9, 0.85, 0.81, 0.79, 0.9], 0.1) == 3)
        #expect(FinePruning.channels([0.9, 0.7], 0.1) == 0)
        #expect(FinePruning.channels([0.5, 0.6, 0.45], 0.1) == 2, "all of them")
    }

    /// The quietest channels go, the loudest stay, tuning does not bring back what went, and accuracy keeps to its limit.
    @Test func finePruningTakesTheQuietChannels() throws {
        let model = Parameters(copying: ModelToy.trained), context = ModelToy.context(100)
        let pruning = FinePruning.LastConvolution(model, context.synthetic, context), activity = pruning.activity()
        let order = activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) }
        let outcome = try FinePruning().apply(model, context), left = ModelToy.values(outcome.parameters, "conv6/weight")
        let kept = (0..<128).filter { c in left[c * 1152..<(c + 1) * 1152].contains { $0 != 0 } }
        #expect(kept == order.suffix(kept.count).sorted(), "the loudest stay")
        #expect((1..<128).contains(kept.count), "\(outcome.audit)")
        #expect(order.dropLast(kept.count).allSatisfy { ModelToy.values(outcome.parameters, "conv6/bias")[$0] == 0 })
        #expect(ModelToy.accuracy(outcome.parameters) > ModelToy.accuracy(model) - 0.1)

        // Pruned one by one in the whole network, the accuracies are those of the shortcut.
        let predictor = Predictor(ModelToy.network, kernels: ModelToy.kernels, threads: 2), accuracies = pruning.accuracies(order)
        for k in [0, 1, 64, 100, 120, 125, 127, 128] {
            let pruned = HiddenChannels(network: ModelToy.network).pruned(
                model, Set(order.prefix(k).map { ModelToy.network.boundOffset(.conv6) + $0 }))
            #expect(
                abs(accuracies[k] - accuracyOnLabels(pruned, Bounds(ModelToy.network), context.synthetic, predictor)) <= 0.01,
                "\(k) channels")
        }
    }

    /// Two channels of five: votes 2, 1, 2, 0, 1. Then one of four: two votes for channel 0, whose ranks add up to 3, one for
    /// channel 1 with the ranks 1, 1, 0: votes count first.
    @Test func votesElect() {
        let two = FederatedPruning.Ballot(orders: [[0, 2, 1, 3, 4], [2, 1, 3, 4, 0], [0, 4, 1, 2, 3]], votes: 2)
        #expect(two.votes == [2, 1, 2, 0, 1])
        #expect(two.elected == [0, 2])
        #expect(FederatedPruning.Ballot(orders: [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3, 0]], votes: 1).elected == [0])
        // Equal votes: the sum of ranks; equal sums: the number.
        #expect(FederatedPruning.Ballot(orders: [[3, 1, 0, 2], [1, 3, 2, 0]], votes: 2).elected == [1, 3])
        #expect(
            FederatedPruning.Ballot(orders: [[3, 0, 1, 2], [2, 0, 1, 3]], votes: 1).elected == [2], "3 and 2 have a vote and the sum 3 each"
        )
        #expect(FederatedPruning.Ballot(orders: [[3, 2, 1, 0], [2, 1, 0, 3]], votes: 1).elected == [2], "a vote each, sums 1 and 3")
        #expect(FederatedPruning.order([0.5, 0, 2, 0]) == [1, 3, 0, 2])
    }

    /// A client with its own images has its own order, and one without images no vote.
    @Test func everyClientRanksItsOwnImages() throws {
        let model = ModelToy.trained, context = ModelToy.context(0), all = ModelToy.samples(200)
        func order(_ samples: Samples) -> [Int] { FederatedPruning.order(FinePruning.LastConvolution(model, samples, context).activity()) }
        let zeros = all.subset((0..<200).filter { all.label($0) == 0 }), ones = all.subset((0..<200).filter { all.label($0) == 1 })
        #expect(order(zeros) != order(ones))
        let answers = AskedClients([zeros, all.subset([]), ones]).ask { order($0) }
        #expect(answers == [order(zeros), order(ones)])

        var asked = context
        asked.clients = AskedClients([zeros, all.subset([]), zeros, ones])  // two against one
        var pruning = FederatedPruning()
        pruning.deviations = 1000
        let outcome = try pruning.apply(model, asked), left = ModelToy.values(outcome.parameters, "conv6/weight")
        let gone = (0..<128).filter { c in left[c * 1152..<(c + 1) * 1152].allSatisfy { $0 == 0 } }
        #expect(Set(gone) == Set(order(zeros).prefix(25)), "a fifth of 128 is 25")
        #expect(gone.allSatisfy { ModelToy.values(outcome.parameters, "conv6/bias")[$0] == 0 })
        let kept = HiddenChannels(network: ModelToy.network).pruned(model, Set(gone.map { ModelToy.network.boundOffset(.conv6) + $0 }))
        #expect(Array(outcome.parameters.buffer.values) == Array(kept.buffer.values), "nothing is clipped at 1000 deviations")
        #expect(abs(outcome.passes - 1.0 / 3 * Double(2 * zeros.count + ones.count)) <= 1e-9)
        #expect(pruning.plannedPasses(500, ofClients: 2 * zeros.count + ones.count) == outcome.passes)
    }

    /// One weight of 9 among weights of 1 and -1: it comes down to m + 3 s, the others stay; other layers too.
    @Test func extremeWeightsAreClipped() throws {
        let model = Parameters(copying: ModelToy.trained)
        ModelToy.edit(model, "conv6/weight") { w in
            for k in w.indices { w[k] = k % 2 == 0 ? 1 : -1 }
            w[700] = 9
        }
        var pruning = FederatedPruning()
        pruning.share = 0
        let outcome = try pruning.apply(model, ModelToy.context(0)), n = 147_456.0
        let mean = 8 / n, deviation = (1 + 80 / n - mean * mean).squareRoot()  // 1 becomes 9: 8 more in the sum, 80 in the squares
        var expected = ModelToy.values(model, "conv6/weight")
        expected[700] = Float(mean + 3 * deviation)
        #expect(abs(ModelToy.values(outcome.parameters, "conv6/weight")[700] - expected[700]) <= 1e-6)
        expected[700] = ModelToy.values(outcome.parameters, "conv6/weight")[700]
        #expect(ModelToy.values(outcome.parameters, "conv6/weight") == expected)
        #expect(ModelToy.values(outcome.parameters, "fc1/weight") == ModelToy.values(model, "fc1/weight"))
        #expect(outcome.audit.first { $0.name.hasPrefix("channels") }?.value == "0 of 128")
    }

    @Test func pruningNeedsClients() {
        for clients in [nil, AskedClients([]), AskedClients([ModelToy.samples(10).subset([])])] {
            var context = ModelToy.context(0)
            context.clients = clients
            let error = #expect(throws: (any Error).self) { try FederatedPruning().apply(ModelToy.trained, context) }
            #expect(error.map { "\($0)" } == "pruning needs the answers of the clients, and there are none here")
        }
    }
}
