import Attacks
import Datasets
import GoldenInputs
import HDF5
import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// The inputs of tools/reference_models.py, made by the same formulas, and its golden file.
struct ModelGolden {
    static let images = 40
    let file: HDF5File
    let network = ClampNet(channels: 1, classes: 10)

    init() throws { file = try goldenFile("models.h5") }

    func parameters() -> Parameters { GoldenInputs.parameters(network) }

    /// The FM images; labelled by the file's rule or with these.
    func context(_ kernels: InstructionSet, labels: [Int]? = nil) -> DefenseContext {
        let bytes = (0..<Self.images * 784).map { UInt8(256 * GoldenInputs.u(200, $0)) }
        let own = (0..<Self.images).map { UInt16(labels?[$0] ?? Int(10 * GoldenInputs.u(201, $0))) }
        let set = ImageSet(channels: 1, height: 28, width: 28, classes: 10, images: bytes, labels: own)
        return DefenseContext(
            synthetic: Samples(set, normalization: Normalization(mean: [0.5], std: [0.25])), kernels: kernels.kernels, threads: 2, seed: 1)
    }

    /// Of all parameters, signs of streams 100 to 107.
    func projections(_ model: Parameters) -> [Double] {
        let values = network.tensors.flatMap { model.canonical($0) }
        return (0..<8).map { k in
            values.enumerated().reduce(0) { $0 + (GoldenInputs.u(100 + k, $1.offset) >= 0.5 ? 1 : -1) * Double($1.element) }
        }
    }

    func values(_ name: String) throws -> [Double] { try file.read(name, as: Double.self).values }

    /// Allowed is what float32 costs torch on the same inputs, times what Winograd's transforms amplify rounding by (31.4, as
    /// in the tests of the network), and two units in the last place of the largest value.
    func expect(_ name: String, _ values: [Double], _ what: String = "") throws {
        let oracle = try self.values(name), torch = try file.doubleAttribute("float32_max", of: name) ?? .nan
        let largest = oracle.reduce(0) { max($0, abs($1)) }, allowed = 31.4 * torch + 0x1p-22 * largest
        #expect(oracle.count == values.count && !oracle.isEmpty && oracle.allSatisfy(\.isFinite))
        let errors = zip(values, oracle).map { abs($0 - $1) }, off = errors.indices.filter { !(errors[$0] <= allowed) }
        #expect(
            off.isEmpty,
            "\(name) \(what): \(off.count) off, by \(off.map { errors[$0] }.max() ?? 0), allowed \(allowed), torch's float32 \(torch): \(off.prefix(9))"
        )
    }
}

@Suite struct ModelGoldenTests {
    @Test(arguments: InstructionSet.available) func adversarialPruning(set: InstructionSet) throws {
        let golden = try ModelGolden()
        var method = AdversarialPruning()
        method.rate = 0.002
        let masks = AdversarialPruning.MaskTraining(method, golden.parameters(), golden.context(set), batch: 16)
        var found: [Double] = [], losses: [Double] = []
        for s in 0..<3 {
            for i in 0..<16 { masks.batch[i] = 8 * s + i }
            for c in 0..<golden.network.totalBounds {
                masks.weightNoise[c] = Float(0.4 * (2 * GoldenInputs.u(270 + s, c) - 1))
                masks.biasNoise[c] = Float(0.4 * (2 * GoldenInputs.u(280 + s, c) - 1))
            }
            masks.iterate()
            found += masks.mask.map(Double.init)
            losses += [masks.losses.natural, masks.losses.robust]
        }
        try golden.expect("anp/masks", found, "\(set)")
        try golden.expect("anp/losses", losses, "\(set)")
    }

    @Test(arguments: InstructionSet.available) func marginImagesAndMMAC(set: InstructionSet) throws {
        let golden = try ModelGolden(), context = golden.context(set)
        let plan = MaximumMarginClipping.Schedule(steps: 1, batch: 20, sets: 1, margins: .init(perClass: 2, steps: 4, rate: 0.04))
        let fit = MaximumMarginClipping.Fit(MaximumMarginClipping(), golden.parameters(), context, plan), images = fit.margins
        for (i, drawn) in try golden.file.read("margins/images", as: Int32.self).values.enumerated() {
            for k in 0..<784 { images.pixels.base[i * 784 + k] = Float(GoldenInputs.u(230, Int(drawn) * 784 + k)) }
        }
        fit.trainer.bounds.buffer.fill(.infinity)
        images.ascend(fit.trainer, steps: 4, rate: 0.04)
        try golden.expect("margins/statistics", images.margins.values.map(Double.init), "\(set)")
        let pixels = images.pixels.values.map { Double(min(1, max(0, $0))) }
        try golden.expect(
            "margins/pixels",
            (0..<8).map { k in
                pixels.enumerated().reduce(0) { $0 + (GoldenInputs.u(100 + k, $1.offset) >= 0.5 ? $1.element : -$1.element) }
            }, "\(set)")

        fit.trainer.bounds.buffer.fill(1)
        for i in 0..<20 { (fit.batch[i], fit.picks[i]) = (i, i) }
        _ = fit.step(0.002, 0.1)
        try golden.expect("mmac/gradient", fit.trainer.sum.bounds.values.map(Double.init), "\(set)")
    }

    @Test func adamOnBounds() throws {
        let golden = try ModelGolden(), z = Bounds(golden.network)
        z.buffer.fill(1)
        var adam = BoundAdam(golden.network)
        let gradient = Bounds(golden.network)
        for s in 0..<20 {
            for i in 0..<576 { gradient.buffer.base[i] = Float(0.5 * (2 * GoldenInputs.u(240 + s, i) - 0.5)) }
            adam.step(z, gradient.buffer, 0.1)
        }
        try golden.expect("mmac/adam", z.buffer.values.map(Double.init))
        #expect(z.buffer.values.contains(0) && z.buffer.values.contains { $0 > 0.1 })
    }

    @Test(arguments: InstructionSet.available) func finePruning(set: InstructionSet) throws {
        let golden = try ModelGolden(), model = golden.parameters(), plain = golden.context(set)
        let logits = Predictor(golden.network, kernels: set.kernels, threads: 2).logits(40, model, Bounds(golden.network)) {
            plain.synthetic.load($0, into: $1)
        }
        let labels = (0..<40).map { i in (0..<10).reduce(0) { logits[i * 10 + $1] > logits[i * 10 + $0] ? $1 : $0 } }
        let context = golden.context(set, labels: labels), pruning = FinePruning.LastConvolution(model, context.synthetic, context)
        let activity = pruning.activity(), order = activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) }
        try golden.expect("fine/activity", activity, "\(set)")
        #expect(try order.map(Double.init) == golden.values("fine/order"))
        #expect(try pruning.accuracies(order).map { 40 * $0 } == golden.values("fine/right"))
    }

    @Test(arguments: InstructionSet.available) func federatedPruning(set: InstructionSet) throws {
        let golden = try ModelGolden(), model = golden.parameters()
        var context = golden.context(set)
        let clients = [0..<15, 10..<30, 25..<40].map { context.synthetic.subset(Array($0)) }
        let activities = clients.map { FinePruning.LastConvolution(model, $0, context).activity() }
        try golden.expect("pruning/activity", activities.flatMap { $0 }, "\(set)")
        let ballot = FederatedPruning.Ballot(orders: activities.map(FederatedPruning.order), votes: 25)
        #expect(try ballot.votes.map(Double.init) == golden.values("pruning/votes"))
        #expect(try ballot.elected.map(Double.init) == golden.values("pruning/elected"))
        context.clients = AskedClients(clients)
        var pruning = FederatedPruning()
        pruning.deviations = 1.5
        try golden.expect("pruning/parameters", golden.projections(pruning.apply(model, context).parameters), "\(set)")
    }

    @Test func channelLipschitzness() throws {
        let golden = try ModelGolden(), model = golden.parameters(), channels = Layer.convolutions
        try golden.expect("clp/singular", channels.flatMap { LipschitzPruning.lipschitz(model, $0) })
        var pruning = LipschitzPruning()
        pruning.deviations = 1.5
        let pruned = try pruning.apply(model, golden.context(.baseline)).parameters
        let silent = channels.flatMap { layer -> [Double] in
            let units = golden.network.units(layer), values = pruned.canonical(golden.network.weight(layer)), size = values.count / units
            return (0..<units).map { values[$0 * size..<($0 + 1) * size].allSatisfy { $0 == 0 } ? 1 : 0 }
        }
        #expect(try silent == golden.values("clp/pruned"))
    }

    @Test(arguments: InstructionSet.available) func fineTuning(set: InstructionSet) throws {
        let golden = try ModelGolden()
        var found: [Double] = [], losses: [Double] = []
        for epochs in 1...3 {
            var tuning = FineTuning()
            (tuning.epochs, tuning.batch) = (epochs, 40)
            tuning.sgd = SGD(rate: 0.01, momentum: 0.9, decay: 5e-4, clip: 1)
            let (model, course) = try tuning.train(golden.parameters(), golden.context(set))
            found += golden.projections(model)
            losses = course
        }
        try golden.expect("tuning/parameters", found, "\(set)")
        try golden.expect("tuning/losses", losses, "\(set)")
    }

    @Test(arguments: InstructionSet.available) func unlearning(set: InstructionSet) throws {
        let golden = try ModelGolden(), context = golden.context(set), model = golden.parameters(), z = Bounds(golden.network)
        for i in 0..<576 { z.buffer.base[i] = Float(4 + 4 * GoldenInputs.u(296, i)) }
        func padded(_ value: (Int) -> Double) -> [Float] {
            var x = [Float](repeating: 0, count: 34 * 34)
            for k in 0..<784 { x[(k / 28 + 3) * 34 + k % 28 + 3] = Float(value(k)) }
            return x
        }
        var overlay = Overlay(adding: padded { 2 * GoldenInputs.u(295, $0) - 1 })
        (overlay.without, overlay.keeps) = (padded { GoldenInputs.u(297, $0) - 0.5 }, padded { GoldenInputs.u(298, $0) })
        let plain = Predictor(golden.network, kernels: set.kernels, threads: 2).logits(40, model, Bounds(golden.network)) {
            context.synthetic.load($0, into: $1)
        }
        let lesson = Unlearning.Lesson(
            DefenseOutcome(parameters: model, bounds: z, passes: 0), plain: plain, witnesses: (24..<32).map { (image: $0, target: 3) },
            triggers: [(target: 3, overlay: overlay)], context)
        var found: [Double] = [], losses: [Double] = []
        for _ in 0..<3 {
            losses.append(
                lesson.step(
                    SGD(rate: 0.003, momentum: 0.9, decay: 5e-4, clip: 1), kept: Array(0..<16),
                    under: (16..<24).map { (image: $0, overlay: overlay) }, suspects: Array(0..<8)
                ).loss)
            found += golden.projections(lesson.trainer.parameters)
        }
        try golden.expect("unlearning/parameters", found, "\(set)")
        try golden.expect("unlearning/losses", losses, "\(set)")
    }

    @Test(arguments: InstructionSet.available) func maximumMarginBounds(set: InstructionSet) throws {
        let golden = try ModelGolden(), fit = MaximumMarginBounds.Fit(MaximumMarginBounds(), golden.parameters(), golden.context(set))
        func z() -> [Double] { fit.trainer.bounds.buffer.values.map(Double.init) }
        fit.restart()
        for i in 0..<576 { fit.trainer.bounds.buffer.base[i] = Float(0.5 + GoldenInputs.u(290, i)) }
        _ = fit.step(Array(0..<20), 0.005, 0.1)
        try golden.expect("mmbm/gradient", fit.trainer.sum.bounds.values.map(Double.init), "\(set)")
        var found = z()
        fit.restart()
        try golden.expect("mmbm/start", z(), "\(set)")
        for (s, cost) in [5.0, 1, 20].enumerated() {
            _ = fit.step(Array(8 * s..<8 * s + 16), cost, 0.1)
            found += z()
        }
        try golden.expect("mmbm/bounds", found, "\(set)")
    }

    /// Algorithm 1 of Bi and Li, step for step: bounds after three rounds on three models, lambda's path, both ways.
    @Test(arguments: InstructionSet.available, ["paper", "paper-sgd"])
    func paperBounds(set: InstructionSet, reference: String) throws {
        let golden = try ModelGolden(), first = golden.parameters(), plain = golden.context(set)
        let logits = Predictor(golden.network, kernels: set.kernels, threads: 2).logits(40, first, Bounds(golden.network)) {
            plain.synthetic.load($0, into: $1)
        }
        let labels = Loss.predictions(logits, classes: 10).enumerated().map { $0 < 8 ? ($1 + 1) % 10 : $1 }
        let context = golden.context(set, labels: labels)
        var method = PaperBounds()
        (method.allowedDrop, method.rate, method.passes, method.batch) = (0.05, 0.05, 1, 40)
        if reference == "paper-sgd" {
            (method.allowedDrop, method.rate, method.passes, method.batch, method.optimiser) = (0.2, 2e-4, 2, 16, .sgd)
        }
        let bounded = method.layers.flatMap(golden.network.bounds(of:))
        var carried = method.start(first, context), found: [Double] = []
        for (i, at) in bounded.enumerated() { carried["bounds"][at] = Double(Float(2 * GoldenInputs.u(299, i))) }
        for scale in [1, 0.9, 1.1] {
            let model = Parameters(copying: first)
            for tensor in golden.network.tensors[14...15] {
                model.setCanonical(tensor, model.canonical(tensor).map { $0 * Float(scale) })
            }
            method.update(&carried, model, context, orders: (0..<method.passes).map { _ in Array(0..<40) })
            found += bounded.map { carried["bounds"][$0] }
        }
        try golden.expect("\(reference)/bounds", found, "\(set)")
        try golden.expect("\(reference)/lambda", carried["lambda"], "\(set)")
        try golden.expect("\(reference)/drop", carried["drop"], "\(set)")
    }

    /// scipy finds the shape by bracketing to 1e-9 of it or better, so p (whose slope by log shape is below the shape's
    /// square root) follows; q of 1e-42 is a difference of numbers near 100 in the exponent: 1e-13 relative.
    @Test func detection() throws {
        let golden = try ModelGolden(), values = try golden.values("gamma/values")
        let counts = try golden.file.read("gamma/count", as: Int32.self).values.map(Int.init)
        let shapes = try golden.values("gamma/shape"), scales = try golden.values("gamma/scale"), ps = try golden.values("gamma/p")
        #expect(counts.count == 12)
        for (row, count) in counts.enumerated() {
            let statistics = Array(values[row * 9..<row * 9 + count]), detection = MaximumMarginDetection(statistics)
            var others = statistics
            others.remove(at: detection.suspect)
            let gamma = try #require(GammaDistribution(fitting: others)), p = try #require(detection.p)
            let tolerance = 1e-9 * max(1, gamma.shape.squareRoot())
            #expect(abs(gamma.shape / shapes[row] - 1) <= 1e-8, "shape \(gamma.shape), scipy \(shapes[row])")
            #expect(abs(gamma.scale / scales[row] - 1) <= 1e-8)
            #expect(abs(p / ps[row] - 1) <= max(1e-7, 100 * tolerance), "row \(row): p \(p), scipy \(ps[row])")
            #expect(detection.detected == (ps[row] <= 0.05))
        }
    }
}
