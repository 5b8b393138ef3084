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

/// FT-SAM, FLAIN and ABL.
@Suite struct ModelDefensesRivalsTests {
    private func finding(_ outcome: DefenseOutcome, _ name: String) -> String? { outcome.audit.first { $0.name == name }?.value }

    // MARK: FT-SAM

    @Test func rateFallsAsHalfACosine() {
        #expect(SharpnessAwareTuning.annealed(0.01, 0, of: 4) == 0.01)
        #expect(abs(SharpnessAwareTuning.annealed(0.01, 2, of: 4) - 0.005) <= 1e-9)
        #expect(abs(SharpnessAwareTuning.annealed(0.01, 4, of: 4)) <= 1e-9)
    }

    /// The look around the model is along w^2 g, as long as rho relative to the weights, and is forgotten after the step: without rate and
    /// decay the model stays to the bit. With a radius of nothing and no smoothing the step is that of fine-tuning.
    @Test func stepWithoutRadiusIsThatOfFineTuning() throws {
        var method = SharpnessAwareTuning()
        let start = ModelToy.random(), context = ModelToy.context(20), all = Array(0..<20)
        (method.sgd.rate, method.sgd.decay) = (0, 0)
        let still = SharpnessAwareTuning.Lesson(method, start, context.synthetic, context)
        _ = still.step(all, rate: 0)
        #expect(still.trainer.parameters.buffer.array == start.buffer.array)

        (method.radius, method.smoothing, method.sgd) = (1e-12, 0, FineTuning().sgd)
        let lesson = SharpnessAwareTuning.Lesson(method, start, context.synthetic, context)
        let loss = lesson.step(all, rate: 0.01)
        var tuning = FineTuning()
        (tuning.epochs, tuning.batch) = (1, 20)
        let (tuned, losses) = try tuning.train(start, context)
        #expect(abs(loss - losses[0]) <= 1e-6)
        for (a, b) in zip(lesson.trainer.parameters.buffer.array, tuned.buffer.array) { #expect(abs(a - b) <= 1e-6) }
    }

    @Test func sharpnessAwareTuningIsAsPlannedAndKeepsWhatFits() throws {
        var method = SharpnessAwareTuning()
        method.epochs = 10
        let outcome = try method.apply(ModelToy.trained, ModelToy.context(100))
        #expect(outcome.passes == 2000)
        #expect(abs(ModelToy.accuracy(outcome.parameters) - ModelToy.accuracy(ModelToy.trained)) <= 0.03)
    }

    // MARK: FLAIN

    /// fc1's weights at w0 = w / 2 become 0 where they are flipped: the quietest inputs go until more than 1 % of the images are lost.
    @Test func flippingEndsWhereAccuracyFalls() throws {
        let model = ModelToy.trained, initial = Parameters(copying: model)
        ModelToy.edit(initial, "fc1/weight") { for i in $0.indices { $0[i] /= 2 } }
        var context = ModelToy.context(200)
        context.initial = initial
        let walk = FlippedUpdates.Walk(initial, model, context.synthetic, context), states = walk.flip(until: 0.01)
        let last = states[states.count - 1], outcome = try FlippedUpdates().apply(model, context)
        #expect(states[0].right - last.right >= 2)
        #expect(states[0].right - states[states.count - 2].right < 2)
        #expect((1..<2048).contains(last.flipped))
        #expect(finding(outcome, "inputs of fc1 flipped") == "\(last.flipped) of 2048")
        let gone = Set(walk.order.prefix(last.flipped)), tensor = ModelToy.network.weight(.fc1)
        let factor = try #require(finding(outcome, "weights of fc1 scaled by").flatMap(Float.init))
        #expect(factor > 1)
        for row in 0..<tensor.count / 32 {
            for at in tensor.offset + 32 * row..<tensor.offset + 32 * row + 32 {
                let expected = gone.contains(row % 2048) ? 0 : model.base[at] * factor
                #expect(abs(outcome.parameters.base[at] - expected) <= 1e-4 * (1 + abs(expected)))
            }
        }
        #expect(zip(walk.order.prefix(last.flipped), walk.order.dropFirst()).allSatisfy { walk.activity[$0] <= walk.activity[$1] })
        for tensor in ModelToy.network.tensors where tensor.name != "fc1/weight" {
            #expect(outcome.parameters.canonical(tensor) == model.canonical(tensor), Comment(rawValue: tensor.name))
        }
        #expect(abs(outcome.passes - 200.0 / 3) <= 1e-9)
    }

    /// A backdoor on inputs that are quiet on clean images: what the rounds learned there is turned round, and nothing else is changed.
    @Test func whatQuietInputsLearnedIsTurnedRound() throws {
        let initial = Parameters(copying: ModelToy.trained)
        ModelToy.edit(initial, "conv6/weight") { for i in 9 * 1152..<10 * 1152 { $0[i] = 0 } }
        ModelToy.edit(initial, "conv6/bias") { $0[9] = -1 }  // channel 9 does not fire: inputs 144 to 159 of fc1
        let model = Parameters(copying: initial)
        ModelToy.edit(model, "fc1/weight") { for unit in 0..<128 { $0[unit * 2048 + 150] += 0.5 } }
        var context = ModelToy.context(100)
        context.initial = initial
        let outcome = try FlippedUpdates().apply(model, context), found = ModelToy.values(outcome.parameters, "fc1/weight")
        let before = ModelToy.values(initial, "fc1/weight")
        let factor = try #require(finding(outcome, "weights of fc1 scaled by").flatMap(Float.init))
        for i in found.indices {
            let expected = factor * (before[i] - (i % 2048 == 150 ? 0.5 : 0))
            #expect(abs(found[i] - expected) <= 2e-4 * (1 + abs(expected)), "\(i)")
        }
        #expect(abs(ModelToy.accuracy(outcome.parameters) - ModelToy.accuracy(model)) <= 0.02)
    }

    @Test func flippingNeedsTheModelBeforeRoundOne() {
        let other = ClampNet(channels: 1, classes: ModelToy.classes, head: .all[1])
        for initial in [nil, Parameters(other)] {
            var context = ModelToy.context(50)
            context.initial = initial
            let error = #expect(throws: (any Error).self) { try FlippedUpdates().apply(ModelToy.trained, context) }
            #expect(error.map { "\($0)" }?.hasPrefix("flain needs the model before round 1") == true)
        }
    }

    // MARK: ABL

    @Test func lowestLossesAreIsolated() {
        var method = AntiBackdoorLearning()
        method.share = 0.5
        #expect(method.split([3, 1, 2, 1]).isolated == [1, 3])
        #expect(method.split([3, 1, 2, 1]).others == [0, 2])
        method.share = 0.01
        #expect([2, 99, 100, 2000].map(method.isolated) == [1, 1, 1, 20])
        method.share = 0.999
        #expect(method.isolated(of: 10) == 9)
    }

    /// Below gamma the loss is climbed, above it is descended.
    @Test func ascentHoldsLossesAtGamma() {
        let samples = ModelToy.samples(20)
        for (gamma, rises) in [(1e9, true), (0, false)] {
            var method = AntiBackdoorLearning()
            (method.gamma, method.isolation.rate) = (gamma, 0.001)
            let trainer = Trainer(ModelToy.network, kernels: ModelToy.kernels)
            trainer.reset(ModelToy.random())
            let first = method.ascentStep(trainer, samples, Array(0..<20)[...])
            let second = method.ascentStep(trainer, samples, Array(0..<20)[...])
            #expect((second > first) == rises, "gamma \(gamma): \(first), \(second)")
        }
    }

    /// Noise whose labels cannot be learned, and a fifth of it with a patch, labelled 0, which can: these are isolated and unlearnt.
    @Test func whatIsLearntFirstIsIsolatedAndUnlearnt() throws {
        var stream = RandomStream(seed: 8, purpose: "abl test")
        let images = (0..<200).flatMap { image in
            (0..<784).map { pixel in
                image % 5 == 2 && pixel / 28 >= 20 && pixel % 28 >= 20 ? UInt8(255) : UInt8(stream.index(below: 120))
            }
        }
        let labels = (0..<200).map { UInt16($0 % 5 == 2 ? 0 : stream.index(below: 5)) }
        let set = ImageSet(channels: 1, height: 28, width: 28, classes: 5, images: images, labels: labels)
        var context = ModelToy.context(0), method = AntiBackdoorLearning()
        context.synthetic = Samples(set, normalization: Normalization(mean: [0.2], std: [0.25]))
        context.distrusted = [2, 7]
        (method.share, method.epochs, method.batch) = (0.1, 5, 16)
        let model = try FineTuning().train(ModelToy.random(), context).model
        let outcome = try method.apply(model, context), suspects = try #require(outcome.suspects)
        #expect(suspects.count == 19)
        #expect(suspects.filter { $0 % 5 == 2 }.count >= 17, "\(outcome.audit)")
        #expect(suspects == suspects.sorted())
        #expect(suspects.allSatisfy { $0 != 2 && $0 != 7 })
        let last = try #require(finding(outcome, "loss before the last step: others, isolated")?.split(separator: " ").last)
        let before = try #require(finding(outcome, "loss before the first step: others, isolated")?.split(separator: " ").last)
        #expect(try #require(Double(last)) > 2 * (try #require(Double(before))), "\(outcome.audit)")
        #expect(try #require(Double(last)) < 5, "it ends at log 5: \(outcome.audit)")
        #expect(outcome.passes <= method.plannedPasses(198))
    }
}
