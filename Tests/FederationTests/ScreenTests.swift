import Attacks
import Datasets
import Defenses
import Network
import Testing
@testable import Federation

/// `screen`: labels of FM images that look poisoned are not used.
@Suite struct ScreenTests {
    private var server: Server { Server(Toy.network, kernels: Toy.kernels, threads: 2) }

    private func state(_ configuration: RunConfiguration) -> FederationState {
        FederationState(configuration, Toy.network, Toy.normalization, Provenance(dataset: "toy", datasetDigest: "d", synthetic: "s", syntheticDigest: "e"))
    }

    private var configuration: RunConfiguration {
        var c = RunConfiguration()
        (c.attack, c.batch, c.defenses) = (.fm, 16, [FMScreen.name])
        return c
    }

    @Test func poisonedImagesLoseTheirLabelsBeforeTheFirstRound() throws {
        let synthetic = try Toy.samples(600, poisoned: 0.2), poisoned = Set(synthetic.poisonedPositions)
        var screened = state(configuration)
        try screened.start(server, synthetic)
        let right = screened.distrusted.filter(poisoned.contains).count
        #expect(right >= 114 && screened.distrusted.count <= right + 12, "\(right) of 120 poisoned, \(screened.distrusted.count) in all")
        #expect(screened.screenAudit.contains(Finding("class whose FM images look poisoned", "0")))
        // The model before the first round never saw them: it is the one of the others alone.
        #expect(screened.global.values == server.initialize(configuration, screened.trusted(synthetic), network: Toy.network).values)
        let backdoor = try #require(synthetic.backdoor), clean = Samples(Toy.set(200, seed: 3), normalization: Toy.normalization)
        var plain = configuration
        plain.defenses = []
        var unscreened = state(plain)
        try unscreened.start(server, synthetic)
        #expect(unscreened.distrusted.isEmpty && server.evaluate(unscreened.global, Bounds(), clean, backdoor).attackSuccess > 0.8)
        let left = server.evaluate(screened.global, Bounds(), clean, backdoor)
        #expect(left.attackSuccess < 0.1 && left.accuracy > 0.9)
    }

    /// Where nothing is found the training is the one without `screen`, to the bit.
    @Test func nothingIsFoundWhereNothingIs() throws {
        var plain = configuration
        (plain.attack, plain.defenses) = (.none, [])
        var screening = plain
        screening.defenses = [FMScreen.name]
        let synthetic = try Toy.samples(300)
        var one = state(plain), other = state(screening)
        try one.start(server, synthetic)
        try other.start(server, synthetic)
        #expect(other.distrusted.isEmpty && one.global.values == other.global.values)
        #expect(one.trusted(synthetic).count == 300)
    }

    @Test func withoutItsLabelTheTeacherAloneCounts() throws {
        let synthetic = try Toy.samples(64, poisoned: 0.5), start = Toy.parameters()
        let teacher = (0..<64 * Toy.classes).map { Float($0 % 7) }
        func fused(_ weight: Double, without: Set<Int>) -> [Float] {
            var c = configuration
            c.labelWeight = weight
            return server.fuse(c, start, teacher, bounds: nil, synthetic, withoutLabels: without, round: 1).values
        }
        #expect(fused(0.5, without: Set(0..<64)) == fused(0, without: []))
        #expect(fused(0.5, without: Set(synthetic.poisonedPositions)) != fused(0.5, without: []))
        #expect(fused(0.5, without: []) != fused(0, without: []))
    }

    @Test func thereMustBeAModelToLookAt() throws {
        var c = configuration
        c.initialEpochs = 0
        #expect(throws: RunError.self) { try c.validate() }
        #expect(try FederatedRun.defenses([MultiKrum.name, FMScreen.name, BoundFit.name]).1.count == 1)
    }
}
