import Attacks
import Datasets
import GoldenInputs
import HDF5
import Network
import Testing
@testable import DefenseInterface
@testable import ModelDefenses

/// FT-SAM, FLAIN, ABL and Neural Cleanse against tools/reference_rivals.py.
@Suite struct RivalsGoldenTests {
    @Test(arguments: InstructionSet.available) func sharpnessAwareTuning(set: InstructionSet) throws {
        let golden = try ModelGolden(), context = golden.context(set)
        var method = SharpnessAwareTuning()
        (method.radius, method.sgd) = (0.5, SGD(rate: 0.01, momentum: 0.9, decay: 5e-4, clip: 1))
        let lesson = SharpnessAwareTuning.Lesson(method, golden.parameters(), context.synthetic, context)
        var found: [Double] = [], losses: [Double] = []
        for _ in 0..<3 {
            losses.append(lesson.step(Array(0..<40), rate: 0.01))
            found += golden.projections(lesson.trainer.parameters)
        }
        try golden.expect("sam/parameters", found, "\(set)")
        try golden.expect("sam/losses", losses, "\(set)")
    }

    @Test(arguments: InstructionSet.available) func flippedUpdates(set: InstructionSet) throws {
        let golden = try ModelGolden(), model = golden.parameters(), initial = golden.parameters(), plain = golden.context(set)
        let fc1 = golden.network.weight(.fc1)
        initial.setCanonical(
            fc1, model.canonical(fc1).enumerated().map { $1 - Float(0.05 * Double(Float(2 * GoldenInputs.u(301, $0) - 1))) })
        let logits = Predictor(golden.network, kernels: set.kernels, threads: 2).logits(40, model, Bounds(golden.network)) {
            plain.synthetic.load($0, into: $1)
        }
        var context = golden.context(set, labels: Loss.predictions(logits, classes: 10))
        context.initial = initial
        let walk = FlippedUpdates.Walk(initial, model, context.synthetic, context)
        let canonical = (0..<2048).map { walk.activity[DenseLayers.place($0 / 16, $0 % 16)] }
        try golden.expect("flain/activity", canonical, "\(set)")
        let states = walk.flip(until: 2), wanted = try golden.values("flain/right")
        #expect(states.last?.flipped == 2048)
        for k in 0...16 {
            // The inputs that never fire are flipped together.
            let state = try #require(states.first { $0.flipped >= 128 * k })
            #expect(Double(state.right) == wanted[k], "\(128 * k) flipped")
        }
        var method = FlippedUpdates()
        method.drop = 0.1
        let outcome = try method.apply(model, context)
        #expect(try outcome.audit[0].value == "\(Int(golden.values("flain/flipped")[0])) of 2048")
        try golden.expect("flain/parameters", golden.projections(outcome.parameters), "\(set)")
    }

    @Test(arguments: InstructionSet.available) func antiBackdoorLearning(set: InstructionSet) throws {
        let golden = try ModelGolden(), samples = golden.context(set).synthetic
        let trainer = Trainer(golden.network, kernels: set.kernels, lanes: Trainer.serverLanes, threads: 2)
        var method = AntiBackdoorLearning(), found: [Double] = [], losses: [Double] = []
        method.gamma = 3.5
        (method.isolation, method.unlearning) = (SGD(rate: 0.01, decay: 1e-4, clip: 1), SGD(rate: 0.005, decay: 1e-4, clip: 1))
        trainer.reset(golden.parameters())
        for s in 0..<3 {
            losses.append(method.ascentStep(trainer, samples, Array(8 * s..<8 * s + 16)[...]))
            found += golden.projections(trainer.parameters)
        }
        try golden.expect("abl/ascent", found, "\(set)")
        try golden.expect("abl/ascent-losses", losses, "\(set)")
        (found, losses) = ([], [])
        trainer.reset(golden.parameters())
        for _ in 0..<3 {
            let loss = method.unlearningStep(trainer, samples, Array(0..<32), Array(32..<40))
            losses += [loss.others, loss.isolated]
            found += golden.projections(trainer.parameters)
        }
        try golden.expect("abl/unlearning", found, "\(set)")
        try golden.expect("abl/unlearning-losses", losses, "\(set)")
    }

    @Test(arguments: InstructionSet.available) func neuralCleanse(set: InstructionSet) throws {
        let golden = try ModelGolden(), context = golden.context(set)
        let trainer = Trainer(golden.network, kernels: set.kernels)
        trainer.reset(golden.parameters())
        trainer.prepareForBounds()
        var stream = RandomStream(seed: 1, purpose: "golden")
        let search = TriggerReversal(context.synthetic, 3, .init(steps: 1), &stream)
        let values = (0..<784).map { 4 * GoldenInputs.u(310, $0) - 2 } + (0..<784).map { 4 * GoldenInputs.u(311, $0) - 2 }
        search.start(values)
        let images = try golden.file.read("cleanse/images", as: Int32.self).values.map(Int.init)
        try golden.expect("cleanse/gradient", search.slope(trainer, images, 0.01).gradient, "\(set)")
        for s in 0..<5 { search.descend((0..<1568).map { 2 * GoldenInputs.u(320 + s, $0) - 1 }) }
        try golden.expect("cleanse/adam", search.values, "\(set)")
    }

    @Test func anomalyIndex() throws {
        let golden = try ModelGolden(), norms = try golden.values("cleanse/norms"), index = try golden.values("cleanse/index")
        #expect(norms.count == 60)
        for row in 0..<6 {
            let wanted = (0..<10).filter { index[row * 10 + $0] > 2 },
                found = NeuralCleanse().outliers(Array(norms[row * 10..<row * 10 + 10]))
            #expect(found.map(\.label).sorted() == wanted)
            for outlier in found { #expect(abs(outlier.index - index[row * 10 + outlier.label]) <= 1e-12 * outlier.index) }
        }
    }
}
