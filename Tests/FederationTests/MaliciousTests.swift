@testable import Attacks
import Bounds
import DefenseInterface
import Defenses
import Detection
import Rules
import Network
import Testing
@testable import Federation

/// What malicious clients do, on cases with a known answer.
@Suite struct MaliciousTests {
    /// Eight clients send G, two colluders send boosted X: the mean of all ten is X.
    @Test func modelReplacementReplacesTheMean() throws {
        let global = Toy.parameters(1), wanted = Toy.parameters(2), replacement = ModelReplacement(.replacement, Toy.context(global))
        #expect(replacement.factor == 5)
        let boosted = Parameters(copying: wanted)
        replacement.beforeUpload(boosted)
        var context = RuleContext(assumedMalicious: 0, seed: 1, round: 1, threads: 1)
        let updates = (0..<10).map { ClientUpdate(client: $0, images: 7, parameters: $0 < 2 ? boosted : global) }
        let mean = try FedAvg().aggregate(global, updates, &context).model
        var worst = 0.0
        for k in 0..<mean.count {  // roundings: L to float, twice a fifth of it; the mean to float
            let error = abs(Double(mean.base[k]) - Double(wanted.base[k])), size = Double(max(abs(boosted.base[k]), abs(wanted.base[k])))
            worst = max(worst, error / max(size, 1e-30))
        }
        #expect(worst <= 2 * 0x1p-24 && wanted.values != global.values)
    }

    @Test func boostScalesTheUpdate() {
        let global = Parameters(Toy.network), model = Parameters(Toy.network)
        (global.base[5], model.base[5], model.base[6]) = (1, 1.5, -0.25)
        ModelReplacement(.factor(4), Toy.context(global)).beforeUpload(model)
        #expect(model.base[5] == 3 && model.base[6] == -1 && model.base[7] == 0)
    }

    @Test func pgdProjectsOntoTheBall() {
        let global = Toy.parameters(1), near = Parameters(copying: global), far = Parameters(copying: global)
        near.base[3] += 0.5
        (far.base[0], far.base[1]) = (global.base[0] + 3, global.base[1] - 4)
        let before = near.values, pgd = ProjectedTraining(radius: 1, Toy.context(global))
        pgd.afterStep(near)
        pgd.afterStep(far)
        #expect(near.values == before)
        #expect(abs(far.base[0] - (global.base[0] + 0.6)) <= 0x1p-23 && abs(far.base[1] - (global.base[1] - 0.8)) <= 0x1p-23)
        #expect(far.values.dropFirst(2) == global.values.dropFirst(2))
    }

    @Test func pgdHoldsInTraining() throws {
        let samples = try Toy.samples(64, poisoned: 0.5), global = Toy.parameters()
        let free = Toy.trained(samples, from: global), held = Toy.trained(samples, from: global) { $0[ProjectedTraining.radius] = 0.02 }
        let size = updateNorm(global, Parameters(Toy.network))  // every coordinate is rounded to 2^-24 of its size
        #expect(updateNorm(free.update, global) > 0.04)
        #expect(updateNorm(held.update, global) <= 0.02 + 0x1p-24 * size && updateNorm(held.update, global) > 0.019)
        let boosted = Toy.trained(samples, from: global) { ($0[ProjectedTraining.radius], $0[ModelReplacement.boost]) = (0.02, .factor(3)) }
        #expect(abs(updateNorm(boosted.update, global) - 3 * updateNorm(held.update, global)) <= 0x1p-23 * size)
    }

    /// The largest changes by magnitude are frozen, whatever their sign; among equals the first.
    @Test func neurotoxinFreezesTheLargestUnsigned() {
        let previous = Toy.parameters(), global = Parameters(copying: previous)
        for k in 0..<1000 { global.base[k] += 0.25 }
        for k in 1000..<1500 { global.base[k] -= 8 }
        let share = 700 / Double(Toy.network.parameterCount)
        let frozen = Neurotoxin(share: share, Toy.context(global, previous: previous)).frozen
        #expect(frozen.count == 700 && frozen.suffix(500) == Array(1000..<1500)[...])
        #expect(frozen.prefix(200).allSatisfy { $0 < 1000 })  // 0.25 after rounding; which of them is not the point
        #expect(Neurotoxin(share: 0.5, Toy.context(global, previous: previous)).frozen.count == 1500)
        #expect(Neurotoxin(share: 0.5, Toy.context(global)).frozen.isEmpty)
        let model = Toy.parameters(2), before = model.values
        Neurotoxin(share: share, Toy.context(global, previous: previous)).afterStep(model)
        let places = Set(frozen)
        #expect((0..<model.count).allSatisfy { model.base[$0] == (places.contains($0) ? global.base[$0] : before[$0]) })
    }

    @Test func neurotoxinHoldsInTraining() throws {
        let samples = try Toy.samples(64, poisoned: 0.5), previous = Toy.parameters(1)
        let global = Toy.trained(try Toy.samples(64), from: previous).update
        let frozen = Neurotoxin(share: 0.05, Toy.context(global, previous: previous)).frozen
        #expect(frozen.count == Int((0.05 * Double(Toy.network.parameterCount)).rounded()))
        let update = Toy.trained(samples, from: global, previous: previous) { $0[Neurotoxin.share] = 0.05 }.update
        #expect(frozen.allSatisfy { update.base[$0] == global.base[$0] })
        let free = Toy.trained(samples, from: global, previous: previous).update
        let moved = frozen.filter { free.base[$0] != global.base[$0] }.count
        #expect(moved > frozen.count * 9 / 10 && updateNorm(update, global) > 0)
    }

    /// Channel 0 of conv1 copies the pixel: its limit is the largest pixel of the clean images, not the patch's 1.
    @Test func adaptiveTakesTheCleanMaxima() throws {
        let samples = try Toy.samples(40, poisoned: 0.5), model = Parameters(Toy.network), weight = Toy.network.tensors[0]
        var taps = [Float](repeating: 0, count: weight.canonicalCount)
        taps[4] = 1
        model.setCanonical(weight, taps)
        let clean = samples.positions(.clean), bytes = clean.flatMap { samples.set.images[$0 * 784..<($0 + 1) * 784] }
        let largest = Float(try #require(bytes.max())) / 255
        let half = AdaptiveTraining(share: 0.5, Toy.context(model)), limits = try #require(half.trainingBounds(samples))
        #expect(clean.count == 20 && largest < 0.9 && abs(limits[.conv1][0] - largest / 2) <= 0x1p-23)
        #expect(limits[.conv1][1] == 0 && limits[.fc1].allSatisfy { $0 == 0 })
        let all = try #require(half.trainingBounds(Toy.samples(10, poisoned: 1)))
        #expect(all.isUnbounded)  // nothing clean to look at
    }

    /// The backdoor of the adaptive attacker works under bounds at its clean maxima.
    @Test func adaptiveBackdoorWorksInsideTheCleanRange() throws {
        let start = Toy.trained(try Toy.samples(200), from: Toy.parameters()) { ($0.localEpochs, $0.rate) = (6, 0.05) }.update
        let samples = try Toy.samples(200, poisoned: 0.4), trigger = try Triggers.make("patch", shape: samples.shape, seed: 1)
        let backdoor = Backdoor(trigger: trigger, relabeling: .target(0)),
            clean = Samples(Toy.set(100, seed: 9), normalization: Toy.normalization)
        let server = Server(kernels: Toy.kernels, threads: 1)
        let limits = AdaptiveTraining(share: 0.5, Toy.context(start)).trainingBounds(samples)
        func success(_ share: Double?) throws -> (plain: Evaluation, bounded: Evaluation) {
            let model = Toy.trained(samples, from: start) {
                ($0[AdaptiveTraining.share], $0.maliciousEpochs, $0.maliciousRate) = (share, 8, 0.05)
            }.update
            return (
                server.evaluate(model, Bounds(Toy.network), clean, backdoor), server.evaluate(model, try #require(limits), clean, backdoor)
            )
        }
        let adaptive = try success(0.5), plain = try success(nil)
        for result in [adaptive.plain, adaptive.bounded] { #expect(result.attackSuccess > 0.9 && result.accuracy > 0.9, "\(adaptive)") }
        #expect(plain.plain.attackSuccess > 0.9 && plain.bounded.attackSuccess + plain.bounded.accuracy < 1.9, "\(plain)")
    }

    /// Own epochs and rate of malicious clients: the same as a configuration that gives them to everybody.
    @Test func ownEpochsAndRate() throws {
        let samples = try Toy.samples(48), global = Toy.parameters()
        let everybody = Toy.trained(samples, from: global) { ($0.attack, $0.localEpochs, $0.rate) = (.none, 3, 0.03) }
        let malicious = Toy.trained(samples, from: global) { ($0.maliciousEpochs, $0.maliciousRate) = (3, 0.03) }
        #expect(malicious.update.values == everybody.update.values && malicious.loss == everybody.loss)
        let benign = Toy.trained(samples, from: global, client: 2) {
            ($0.maliciousEpochs, $0.maliciousRate, $0[ProjectedTraining.radius]) = (3, 0.03, 0.001)
        }
        #expect(benign.update.values == Toy.trained(samples, from: global, client: 2).update.values)
    }

    @Test func nobodyMisbehavesWithoutColluders() {
        var configuration = RunConfiguration()
        (
            configuration[ProjectedTraining.radius], configuration[ModelReplacement.boost], configuration[AdaptiveTraining.share],
            configuration[Neurotoxin.share], configuration[LayerwisePoisoning.threshold]
        ) = (1, .replacement, 1, 0.05, 0.95)
        #expect(MaliciousBehaviors.make(configuration.values, Toy.context(Toy.parameters(), colluders: 0)).isEmpty)
        #expect(MaliciousBehaviors.make(configuration.values, Toy.context(Toy.parameters())).count == 5)
        #expect(!configuration.isMalicious(0))
        configuration.attack = .fm
        #expect(!configuration.isMalicious(0))
        configuration.attack = .both
        #expect(configuration.isMalicious(1) && !configuration.isMalicious(2))
    }
}
