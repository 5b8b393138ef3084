import GoldenInputs
import Testing
@testable import Network

/// Heads: what there is, where their tensors and bounds lie, and networks whose answers are known.
@Suite struct HeadTests {
    static let sets = InstructionSet.available

    @Test func allHeads() throws {
        #expect(Head.all.map(\.description) == ["none", "1x128", "1x192", "1x256", "2x128", "2x192", "2x256", "3x128", "3x192", "3x256"])
        for head in Head.all { #expect(try Head(head.description) == head) }
        #expect(try Head(pairs: 0, width: 256) == .none, "without pairs the width says nothing")
        #expect(try Head("2x192") == Head(pairs: 2, width: 192))
    }

    @Test(arguments: [
        "", "x", "2x", "x128", "2X128", "0x128", "-1x128", "+1x128", "01x128", "1x128x128", " 1x128", "None", "1.0x128", "2x192\n",
    ])
    func noHead(text: String) { #expect(throws: HeadError.text(text)) { try Head(text) } }

    /// What was given and what there is.
    @Test func refusals() {
        #expect(throws: HeadError.pairs(4)) { try Head("4x128") }
        #expect(throws: HeadError.width(100)) { try Head("1x100") }
        #expect(throws: HeadError.pairs(-1)) { try Head(pairs: -1, width: 128) }
        #expect(throws: HeadError.width(0)) { try Head(pairs: 0, width: 0) }
        #expect(throws: HeadError.text("99999999999999999999x128")) { try Head("99999999999999999999x128") }
        for (error, words) in [
            (HeadError.pairs(4), ["4", "0 to 3"]), (.width(100), ["100", "128, 192, 256"]), (.text("two"), ["two", "2x192", "none"]),
        ] {
            #expect(words.allSatisfy { "\(error)".contains($0) }, "\(error)")
        }
    }

    /// Tensors in the order of the forward pass, without gaps in the flat vector; bounds one layer after the other.
    @Test func tensorsAndBounds() throws {
        for head in Head.all {
            let network = ClampNet(channels: 3, classes: 10, head: head),
                added = head.pairs == 0 ? 0 : 129 * head.width + (head.pairs - 1) * (head.width + 1) * head.width
            #expect(network.tensors.map(\.name).suffix(2) == ["fc2/weight", "fc2/bias"] && network.tensors.count == 16 + 2 * head.pairs)
            #expect(network.tensors.suffix(2)[network.tensors.count - 2].shape == [10, head.width])
            #expect(network.parameterCount == 288 * 3 + 32 + 9248 + 18496 + 36928 + 73856 + 147584 + 262272 + added + 10 * head.width + 10)
            var place = 0, bound = 0
            for tensor in network.tensors {
                #expect(tensor.offset == place)
                place += tensor.count
            }
            for layer in network.layers {
                #expect(network.weight(layer).name == "\(layer.name)/weight" && network.weight(layer).shape[0] == network.units(layer))
                #expect(network.bounds(of: layer) == bound..<bound + network.units(layer))
                bound += network.units(layer)
            }
            #expect(network.parameterFloats == place && network.totalBounds == bound && bound == 576 + head.pairs * head.width)
            #expect(network.lastHidden.name == (head == .none ? "fc1" : "head\(head.pairs)"))
        }
    }

    /// Where canonical elements go is one to one, for the widths too that are no power of two.
    @Test func everyElementHasItsPlace() throws {
        let network = ClampNet(channels: 1, classes: 3, head: try Head("2x192"))
        var taken = Set<Int>()
        for tensor in network.tensors {
            for i in 0..<tensor.canonicalCount { taken.insert(tensor.place(i)) }
            #expect(tensor.place(0) == tensor.offset)
        }
        #expect(taken.count == network.parameterCount && (taken.max() ?? 0) < network.parameterFloats)
    }

    /// A head of unit matrices passes on what fc1 says (its units are not negative): logits, gradients of the shared tensors and bounds are
    /// those of the network without it, to the bit.
    @Test(arguments: sets) func unitMatricesChangeNothing(set: InstructionSet) throws {
        let golden = try Golden("1ch"), plain = golden.parameters(), bounds = try golden.bounds()
        for i in 0..<576 { bounds.buffer.base[i] = max(bounds.buffer.base[i], 0.01) }  // at 0 the head's ReLU would hold the gradient back
        for head in Head.all where head.pairs > 0 {
            let network = ClampNet(channels: 1, classes: 10, head: head), model = Parameters(network), z = Bounds(network)
            for tensor in network.tensors { model.setCanonical(tensor, unit(tensor) ?? padded(plain, tensor)) }
            for layer in golden.network.layers { z[layer] = bounds[layer] }
            let expected = gradient(golden, plain, bounds, set), found = gradient(golden, model, z, set)
            #expect(found.logits == expected.logits, "\(head)")
            for (tensor, other) in zip(golden.network.tensors, network.tensors)
            where tensor.name == other.name && !tensor.name.hasPrefix("fc2") {
                #expect(found.gradient.canonical(other) == expected.gradient.canonical(tensor), "\(head) \(tensor.name)")
            }
            for layer in golden.network.layers { #expect(found.bounds[layer] == expected.bounds[layer], "\(head) \(layer)") }
            #expect(
                network.layers.dropFirst(7).allSatisfy { found.bounds[$0].allSatisfy { $0 == 0 } }, "nothing is cut in an unbounded head")
        }
    }

    private func unit(_ tensor: ParameterTensor) -> [Float]? {
        guard tensor.name.hasPrefix("head") else { return nil }
        guard tensor.shape.count == 2 else { return [Float](repeating: 0, count: tensor.shape[0]) }
        return (0..<tensor.canonicalCount).map { $0 / tensor.shape[1] == $0 % tensor.shape[1] ? 1 : 0 }
    }

    /// The tensor of that name; of fc2 with zeros for the units that a wider head adds.
    private func padded(_ plain: Parameters, _ tensor: ParameterTensor) -> [Float] {
        plain.network.tensors.filter { $0.name == tensor.name }.flatMap { own -> [Float] in
            let values = plain.canonical(own)
            guard own.shape != tensor.shape else { return values }
            return (0..<tensor.canonicalCount).map { i in
                i % tensor.shape[1] < own.shape[1] ? values[i / tensor.shape[1] * own.shape[1] + i % tensor.shape[1]] : 0
            }
        }
    }

    private func gradient(_ golden: Golden, _ model: Parameters, _ z: Bounds, _ set: InstructionSet, lanes: Int = 1, threads: Int = 1)
        -> (logits: [Float], gradient: Parameters, bounds: Bounds)
    {
        let trainer = Trainer(model.network, kernels: set.kernels, lanes: lanes, threads: threads)
        trainer.reset(model, bounds: z)
        _ = trainer.gradient(
            20, load: { golden.load(20, $0, $1) },
            loss: { i, y, dy in
                Loss.crossEntropy(y, classes: 10, label: i % 10, batch: 20, gradient: dy)
            })
        let gradient = Parameters(model.network), bounds = Bounds(model.network)
        gradient.buffer.copy(from: trainer.sum.parameters)
        bounds.buffer.copy(from: trainer.sum.bounds)
        let logits = Predictor(model.network, kernels: set.kernels, threads: threads).logits(20, model, z) { golden.load(20, $0, $1) }
        return (logits, gradient, bounds)
    }

    /// Three steps on five threads are those on one, to the bit; so are predictions.
    @Test(arguments: sets) func sameBitsForAnyThreadCount(set: InstructionSet) throws {
        let golden = try Golden("3x256"), z = try golden.bounds()
        func trained(_ threads: Int) -> [Float] {
            let trainer = Trainer(golden.network, kernels: set.kernels, lanes: Trainer.serverLanes, threads: threads)
            trainer.reset(golden.parameters(), bounds: z)
            for step in 0..<3 {
                trainer.step(
                    70, SGD(rate: 0.001, clip: 1), load: { golden.load(20, 70 * step + $0, $1) },
                    loss: { i, y, dy in
                        Loss.crossEntropy(y, classes: 10, label: i % 10, batch: 70, gradient: dy)
                    })
            }
            let predictor = Predictor(golden.network, kernels: set.kernels, threads: threads)
            return Array(trainer.parameters.buffer.values) + predictor.logits(70, trainer.parameters, z) { golden.load(20, $0, $1) }
        }
        let one = trained(1)
        #expect(one.allSatisfy(\.isFinite) && one == trained(5))
    }

    /// An image's logits do not depend on what goes through the network with it, at every size of a batch around a chunk.
    @Test(arguments: sets) func everyBatch(set: InstructionSet) throws {
        let golden = try Golden("2x192"), parameters = golden.parameters(), bounds = try golden.bounds()
        let predictor = Predictor(golden.network, kernels: set.kernels, threads: 2)
        let single = (0..<18).map { image in predictor.logits(1, parameters, bounds) { golden.load(20, image + $0, $1) } }
        for n in [2, 3, 5, 6, 8, 9, 15, 16, 17, 18] {
            #expect(predictor.logits(n, parameters, bounds) { golden.load(20, $0, $1) } == single.prefix(n).flatMap { $0 }, "\(n) images")
        }
    }

    /// A unit above its bound gives the bound; what goes on from there is the bound's, and its weights learn nothing.
    @Test(arguments: sets) func boundsOfTheHead(set: InstructionSet) throws {
        let golden = try Golden("2x192"), network = golden.network, model = golden.parameters(), z = Bounds(network)
        for (layer, value) in [(Layer.head1, Float(0.25)), (.head2, 0.125)] { z[layer] = [Float](repeating: value, count: 192) }
        let found = gradient(golden, model, z, set)
        let predictor = Predictor(network, kernels: set.kernels, threads: 1), row = Bounds(network).buffer
        predictor.forEachChunk(1, model, z, load: { golden.load(20, $0, $1) }) { _, _, workspace in workspace.maxima(0, z, into: row.base) }
        let second = network.bounds(of: .head2).map { row.base[$0] }, first = network.bounds(of: .head1).map { row.base[$0] }
        #expect(first.max() == 0.25 && second.max() == 0.125 && first.min() == 0)
        #expect(found.bounds[.head1].contains { $0 != 0 } && found.bounds[.head2].contains { $0 != 0 })
        z[.head2] = [Float](repeating: 0, count: 192)  // nothing gets through: the logits are fc2's bias
        let shut = gradient(golden, model, z, set), bias = model.canonical(network.output.bias)
        #expect(shut.logits == (0..<20).flatMap { _ in bias })
        #expect(network.tensors.dropLast(2).allSatisfy { shut.gradient.canonical($0).allSatisfy { $0 == 0 } })
    }
}
