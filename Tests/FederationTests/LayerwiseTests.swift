@testable import Attacks
import Network
import Testing
@testable import Federation

/// Which layers the LP attack poisons, and what it sends.
@Suite struct LayerwiseTests {
    private static let names = Toy.network.tensors.map(\.name)

    /// The backdoor needs layers 1 and 3 together: each alone takes it away, and both bring it back.
    @Test func layersThatTheBackdoorNeeds() {
        var asked = 0
        let chosen = LayerwisePoisoning.choose(5, 0.95) { poisoned in
            asked += 1
            return poisoned[1] && poisoned[3] ? 1 : 0.125
        }
        #expect(chosen == [false, true, false, true, false] && asked == 1 + 5 + 2)
        #expect(LayerwisePoisoning.choose(5, 0.125) { $0[1] && $0[3] ? 1 : 0.125 } == [false, true, false, false, false])
    }

    /// Where every layer adds its weight, the heaviest are taken until the threshold is reached; among equals the first.
    @Test(arguments: [(0.25, [2]), (0.5, [2, 4]), (0.75, [0, 2, 4]), (0.875, [0, 1, 2, 4]), (1, [0, 1, 2, 3, 4])])
    func heaviestLayersFirst(threshold: Double, expected: [Int]) {
        let weights = [0.1875, 0.125, 0.3125, 0.0625, 0.3125]
        let chosen = LayerwisePoisoning.choose(5, threshold) { poisoned in zip(weights, poisoned).reduce(0) { $0 + ($1.1 ? $1.0 : 0) } }
        #expect(chosen.indices.filter { chosen[$0] } == expected)
        #expect(!LayerwisePoisoning.choose(5, threshold) { _ in 0 }.contains(true), "no backdoor, no layer")
    }

    @Test func measuredIsAQuarterWithoutTheTarget() throws {
        let samples = try Toy.samples(41, poisoned: 0.5), victims = LayerwisePoisoning.victims(samples)
        #expect(victims.indices == [4, 8, 12, 16, 24, 28, 32, 36])  // class k % 5, target 0
        #expect(victims.poisonedPositions.count == victims.count && victims.label(3) == 0)
        #expect(LayerwisePoisoning.victims(samples.unpoisoned).count == 0)
    }

    /// The benign network says class 2 to everything, the poisoned one class 0: the last bias alone does it.
    @Test func theBiasThatDoesItIsFound() throws {
        let samples = try Toy.samples(40, poisoned: 0.5), benign = Parameters(Toy.network), poisoned = Toy.parameters()
        let last = Toy.network.output.bias
        poisoned.setCanonical(last, [1e6, 0, 0, 0, 0])
        benign.setCanonical(last, [0, 0, 1, 0, 0])
        let attack = LayerwisePoisoning(threshold: 0.95, Toy.context(Toy.parameters(3)))
        let critical = attack.criticalLayers(poisoned, benign, samples)
        #expect(zip(Self.names, critical).filter(\.1).map(\.0) == [last.name])
        let sent = Parameters(copying: poisoned)
        attack.beforeUpload(sent, samples) { benign }
        #expect(sent.canonical(last) == [1e6, 0, 0, 0, 0])
        for tensor in Toy.network.tensors.dropLast() { #expect(sent.canonical(tensor) == benign.canonical(tensor), "\(tensor.name)") }
        #expect(attack.criticalLayers(poisoned, benign, samples.unpoisoned) == critical.map { _ in false }, "nothing to measure on")
    }

    /// G + lambda (X - G) + max(0, 1 - lambda) (benign - G).
    @Test(arguments: [(0.5, Float(3)), (1, 4), (2, 7)]) func lambda(scale: Double, expected: Float) throws {
        let samples = try Toy.samples(8, poisoned: 0.5), last = Toy.network.output.bias
        let (global, benign, model) = (Parameters(Toy.network), Parameters(Toy.network), Parameters(Toy.network))
        global.setCanonical(last, [1, 0, 0, 0, 0])
        benign.setCanonical(last, [2, 3, 0, 0, 0])
        model.setCanonical(last, [4, 0, 0, 0, 0])
        LayerwisePoisoning(threshold: 1, scale: scale, Toy.context(global)).beforeUpload(model, samples) { benign }
        #expect(model.canonical(last)[0] == expected)
    }

    /// In training: each tensor is that of the poisoned training or that of the honest one, and which, a second computation says.
    @Test func whatIsSentInTraining() throws {
        let global = Toy.trained(try Toy.samples(100), from: Toy.parameters()) { ($0.localEpochs, $0.rate) = (3, 0.05) }.update
        let samples = try Toy.samples(80, poisoned: 0.5)
        func longer(_ c: inout RunConfiguration) { (c.maliciousEpochs, c.maliciousRate) = (4, 0.05) }
        let poisoned = Toy.trained(samples, from: global) { longer(&$0) }
        let honest = Toy.trained(samples.unpoisoned, from: global) { ($0.attack, $0.localEpochs, $0.rate) = (.none, 4, 0.05) }.update
        let sent = Toy.trained(samples, from: global) {
            longer(&$0)
            $0[LayerwisePoisoning.threshold] = 0.95
        }
        let expected = try Self.secondComputation(poisoned.update, honest, samples, 0.95)
        #expect(!expected.isEmpty && expected.count < Self.names.count, "\(expected)")
        for (k, tensor) in Toy.network.tensors.enumerated() {
            #expect(sent.update.canonical(tensor) == (expected.contains(k) ? poisoned.update : honest).canonical(tensor), "\(tensor.name)")
        }
        #expect(sent.loss == poisoned.loss)
    }

    /// By `Server.predictions` on models put together from canonical values.
    private static func secondComputation(_ poisoned: Parameters, _ honest: Parameters, _ samples: Samples, _ tau: Double) throws -> [Int] {
        let server = Server(kernels: Toy.kernels, threads: 2), backdoor = try #require(samples.backdoor)
        let chosen = (0..<samples.count).filter { $0 % 4 == 0 && samples.trueLabel($0) != 0 }
        let victims = samples.subset(chosen).triggered(backdoor), layers = names.count
        func success(_ isPoisoned: (Int) -> Bool) throws -> Int {
            let values = Toy.network.tensors.indices.flatMap { (isPoisoned($0) ? poisoned : honest).canonical(Toy.network.tensors[$0]) }
            let model = try #require(Parameters(Toy.network, flattened: values))
            return server.predictions(model, Bounds(Toy.network), victims).filter { $0 == 0 }.count
        }
        let best = try success { _ in true }, without = try (0..<layers).map { layer in try success { $0 != layer } }
        let order = (0..<layers).sorted { (without[$0], $0) < (without[$1], $1) }
        for count in 0...layers {
            let now = count == 0 ? 0 : try success { order.prefix(count).contains($0) }
            if Double(now) >= tau * Double(best) { return Array(order.prefix(count)) }
        }
        return order
    }
}
