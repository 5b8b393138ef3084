import Attacks
import Datasets
import Foundation
import Network
import Options
import Rules
import Testing
@testable import Federation

/// `distillation`: the server learns from the clients' answers on FM images, and their weights are nowhere in its model.
@Suite struct DistillationTests {
    private var configuration: RunConfiguration {
        var c = RunConfiguration()
        (c.batch, c.rounds, c.clients, c.malicious, c.rate) = (16, 3, 4, 1, 0.05)
        (c.attack, c.trigger, c.defenses, c.synthetic) = (.classic, "frame", [FederatedDistillation.name], "fm")
        return c
    }

    private func run(_ c: RunConfiguration, threads: Int = 2) throws -> FederatedRun {
        let generated = UnnamedSplit(set: Toy.set(300, seed: 9), classNames: (0..<Toy.classes).map { "class \($0)" }, source: "test")
        let run = try FederatedRun(c, RunData(c, Toy.dataset(400), generated, syntheticName: "fm"), threads: threads)
        try run.run()
        return run
    }

    private func state() -> FederationState {
        var state = FederationState(
            configuration, Toy.network, Toy.normalization,
            Provenance(dataset: "toy", datasetDigest: "d", synthetic: "s", syntheticDigest: "e"))
        (state.prototypes[0].global, state.finishedRounds) = (Toy.parameters(), 0)
        return state
    }

    /// The formula a second time, in double. Logits of any size count for log(d / C) at most.
    @Test func answers() {
        var stream = RandomStream(seed: 1, purpose: "answers test")
        for scale in [0.1, 1, 10, 1000] {
            let z = (0..<7).map { _ in Float(scale * stream.normal()) }, answer = FederatedDistillation.answer(z[...])
            let most = Double(z.max() ?? 0), e = z.map { exp(Double($0) - most) }, sum = e.reduce(0, +)
            for (a, x) in zip(answer, e) {
                #expect(abs(a - log(0.999 * x / sum + 0.001 / 7)) < 1e-6 && a >= log(0.001 / 7) - 1e-9)
            }
        }
    }

    /// What comes of a round depends on the answers alone: the mean over clients, and from there on not on what they sent.
    @Test func weightsAreNotAveraged() throws {
        let synthetic = try Toy.samples(64), server = Server(kernels: Toy.kernels, threads: 2),
            updates = [Toy.parameters(2), Toy.parameters(3)]
        let start = state()
        let aggregation = try Aggregation(
            start, from: [Sender(client: 0, images: 10), Sender(client: 1, images: 30)], by: FedAvg(), server, synthetic)
        updates.forEach(aggregation.add)
        let aggregated = try aggregation.finish()
        let said = updates.map { server.predictor(Toy.network).logits(64, $0, Bounds(Toy.network)) { synthetic.load($0, into: $1) } }
        for i in 0..<64 {
            let rows = said.map { FederatedDistillation.answer($0[i * Toy.classes..<(i + 1) * Toy.classes]) }
            for k in 0..<Toy.classes {
                #expect(abs(Double(aggregated.teacherLogits[i * Toy.classes + k]) - (rows[0][k] + rows[1][k]) / 2) < 1e-5)
            }
        }
        func after(_ model: Parameters) throws -> [Float] {
            var state = start, other = aggregated
            other.parts[0]?.model = model
            state.adopt(other)
            #expect(state.global.values == start.global.values)
            try state.fuse(aggregated.teacherLogits, server, synthetic)
            return state.global.values
        }
        #expect(try after(updates[0]) == after(updates[1]) && after(updates[0]) != start.global.values)
    }

    /// Without a rule before aggregation, whatever malicious clients do to their weights.
    @Test(arguments: ["none", "3"]) func noBackdoorComesIn(boost: String) throws {
        var c = configuration
        if boost != "none" { try c.set("model-replacement", boost) }
        let last = try #require(try run(c).history.last)
        #expect(last.attackSuccess < 0.1 && last.accuracy > 0.9, "\(last.accuracy) / \(last.attackSuccess)")
        c.defenses = []
        let undefended = try #require(try run(c).history.last)
        #expect(undefended.attackSuccess > 0.5, "\(undefended.attackSuccess)")
    }

    @Test func threadsChangeNothing() throws {
        #expect(try run(configuration, threads: 1).global.values == run(configuration, threads: 3).global.values)
    }

    /// Its epochs are those of the server, and progress counts them; fusion's own are not used.
    @Test func itsEpochsAreTheServers() throws {
        var c = configuration
        c.fusionEpochs = 0
        #expect(
            c.asksTeachers(inRound: 1) && c.serverTraining.epochs == 4
                && (0..<4).map { c.serverTraining.rate($0) } == [1, 0.75, 0.5, 0.25].map { c.rate * $0 })
        #expect(c.passesOfFusion(inRound: 1, images: 30, shapes: 2, teachers: 3) == 30 * (1 + 8))
        c.synthetic = "none"
        #expect(throws: SettingError.self) { try c.validate() }
        (c.defenses, c.synthetic) = ([], "fm")
        #expect(!c.asksTeachers(inRound: 1))
    }
}
