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

/// FLAME and DeepSight by hand.
@Suite struct FlameTests {
    /// G = 0. Three models along x with norms 1, 2, 3; one along y and one against it, with norms 8 and 9. At least
    /// floor(5/2) + 1 = 3 make a cluster: those along x. S is the median of ALL norms, 3: nothing is cut, the mean is 2.
    /// The median of the admitted, 2, would give (1 + 2 + 2) / 3.
    @Test func clipsToTheMedianOfAll() throws {
        var rule = FLAME(), context = Toy.context()
        rule.noise = 0
        let models: [[Float]] = [[0, 8], [1, 0], [0, -9], [2, 0], [3, 0]]
        let aggregate = try rule.aggregate(Toy.model([0]), Toy.updates(models.map { Toy.model($0) }, images: [9, 1, 9, 2, 5]), &context)
        #expect(Toy.values(aggregate.model, 2) == [2, 0])
        #expect(aggregate.rejected == [0, 2])
    }

    /// Norms 1, 1, 4 along x and 0.5 twice elsewhere: the median of all is 1, the third is cut to it, as a teacher too.
    @Test func clippedModelsTeach() throws {
        var rule = FLAME(), context = Toy.context()
        rule.noise = 0
        let models: [[Float]] = [[1, 0], [1, 0], [4, 0], [0, 0.5], [0, -0.5]]
        let aggregate = try rule.aggregate(Toy.model([0]), Toy.updates(models.map { Toy.model($0) }), &context)
        #expect(Toy.values(aggregate.model, 2) == [1, 0])
        #expect(aggregate.teachers.map { Toy.values($0.parameters, 1) } == [[1], [1], [1]])
    }

    /// The distances are those of the models: with G = (10, 0) updates of all directions are near each other and of the
    /// fourth model only the last number differs much. By their updates no two would be.
    @Test func comparesModelsNotUpdates() throws {
        var rule = FLAME(), context = Toy.context()
        rule.noise = 0
        let models: [[Float]] = [[11, 0], [9, 0], [10, 0.01], [10, -9]]
        let aggregate = try rule.aggregate(Toy.model([10, 0]), Toy.updates(models.map { Toy.model($0) }), &context)
        #expect(aggregate.rejected == [3])
    }

    @Test func noiseIsLambdaTimesS() throws {
        var quiet = FLAME(), loud = FLAME(), context = Toy.context()
        (quiet.noise, loud.noise) = (0, 0.01)
        let global = Toy.random(1), updates = Toy.updates((2..<7).map { Toy.random($0, around: global, deviation: 0.01) })
        let norms = updates.map { squaredDistance($0.parameters, global).squareRoot() }
        let plain = try quiet.aggregate(global, updates, &context).model
        expectNoise(try loud.aggregate(global, updates, &context).model, plain, deviation: 0.01 * norms.sorted()[2])
        #expect(FLAME().noise == 0.001)
        #expect(refusal { _ = try Toy.aggregate(FLAME(), [1]) }?.contains("n >= 2: got n = 1") == true)
    }
}

@Suite struct DeepSightTests {
    /// A cluster with a third of suspicious clients is out, one with fewer is in, noise stands for itself.
    @Test func acceptsBelowAThird() {
        let labels = [0, 0, 0, 1, 1, 1, 1, -1, -1], suspicious = [true, false, false, true, false, false, false, true, false]
        #expect(DeepSight.accepted(labels, suspicious) == [3, 4, 5, 6, 8])
    }

    /// Suspicious: TE at most half the median.
    @Test func fewExceedingsAreSuspicious() {
        #expect(DeepSight.suspicious([8, 8, 4]) == [false, false, true])
        #expect(DeepSight.suspicious([10, 10, 5, 4]) == [false, false, false, false])  // median 7.5
        #expect(DeepSight.suspicious([10, 10, 5, 3]) == [false, false, false, true])
    }

    /// Four clients move all ten classes, each in its way; two move class 0 only (TE 1, at most 5). Those two agree in every
    /// respect and are a cluster that is all suspicious. The mean is over the four, cut to the median norm of all six.
    @Test func turnsAwayTheSuspiciousCluster() throws {
        let global = Toy.model([0], ["fc2/bias": (0..<10).map { Float($0) / 10 }])
        func moved(_ step: [Float], _ far: Float) -> Parameters {
            Toy.model([far], ["fc2/bias": step.enumerated().map { Float($0.offset) / 10 + $0.element }])
        }
        let good = (0..<4).map { i in moved((0..<10).map { c in 0.5 + 0.03 * Float((i * 7 + c * 3) % 5) }, i == 0 ? 30 : 0) }
        let bad = (0..<2).map { i in moved([4 + 0.01 * Float(i)] + [Float](repeating: 0, count: 9), 0) }
        var rule = DeepSight(), context = Toy.context(server: Toy.server(trained: global))
        rule.images = 5
        let aggregate = try rule.aggregate(global, Toy.updates(bad + good), &context)
        #expect(aggregate.rejected == [0, 1])
        let norms = (bad + good).map { squaredDistance($0, global).squareRoot() }.sorted(), scale = (norms[2] + norms[3]) / 2
        let first = squaredDistance(aggregate.teachers[0].parameters, global).squareRoot()
        #expect(abs(first - scale) < 1e-6 * scale && aggregate.teachers.count == 4)
        #expect(abs(Toy.values(aggregate.model, 1)[0] - Float(30 * scale / norms[5] / 4)) < 1e-5)
    }

    /// The random images: of the data's own size, padded and normalised, the same on any thread, others in every draw.
    @Test func randomImages() throws {
        final class Seen: @unchecked Sendable { var images: [[Float]] = [] }
        let seen = Seen(), network = Toy.network
        let server = RuleServer(
            normalization: Normalization(mean: [0.5], std: [0.25]), side: 28, train: { Parameters(network) },
            logits: { _, count, load in
                for i in 0..<count {
                    var image = [Float](repeating: 0, count: network.inputFloats)
                    image.withUnsafeMutableBufferPointer { buffer in buffer.baseAddress.map { load(i, $0) } }
                    seen.images.append(image)
                }
                return [Float](repeating: 0, count: count * 10)
            })
        var rule = DeepSight(), context = Toy.context(server: server)
        rule.images = 4
        _ = try rule.aggregate(Toy.model([0]), Toy.updates([Toy.model([1]), Toy.model([2])]), &context)
        #expect(seen.images.count == 3 * 3 * 4 && Set(seen.images).count == 3 * 4)
        #expect(Array(seen.images[0..<4]) == Array(seen.images[4..<8]))  // G and the first client see the same
        let image = seen.images[0]
        #expect(image[0..<34].allSatisfy { $0 == 0 } && image[35] == -2)  // border; a padded pixel: (0 - 0.5) / 0.25
        let inside = (3..<31).flatMap { row in (3..<31).map { image[row * 34 + $0] } }
        #expect(inside.allSatisfy { $0 >= -2 && $0 <= 2 } && inside.contains { $0 < -1.9 } && inside.contains { $0 > 1.9 })
        #expect(DeepSight().images == 500 && DeepSight().serverPasses(clients: 10, rootPasses: 0) == 5500)
    }
}
