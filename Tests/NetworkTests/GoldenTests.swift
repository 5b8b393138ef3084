import Testing
@testable import Network

/// ClampNet against PyTorch in double (golden files of tools/oracle.py), for every instruction set this machine has.
@Suite struct GoldenTests {
    static let cases: [(String, InstructionSet)] = Golden.names.flatMap { name in InstructionSet.available.map { (name, $0) } }

    @Test(arguments: cases) func losses(file: String, set: InstructionSet) throws {
        let golden = try Golden(file), images = try golden.images(), labels = golden.labels, teacher = golden.teacher
        let names = try golden.cases(["unbounded", "bounded", "distill", "fidelity"])
        #expect(names.contains("bounded") && (names.count == 4 || golden.network.head != .none))
        for name in names {
            let bounded = ["bounded", "fidelity"].contains(name)
            for lanes in [1, 2] {
                let trainer = Trainer(golden.network, kernels: set.kernels, lanes: lanes, threads: lanes)
                trainer.reset(golden.parameters(), bounds: bounded ? try golden.bounds() : nil)
                var logits = [Float](repeating: 0, count: 200), dlogits = logits
                let loss = logits.withUnsafeMutableBufferPointer { logits in
                    dlogits.withUnsafeMutableBufferPointer { dlogits in
                        let out = logits.baseAddress.unsafelyUnwrapped, dout = dlogits.baseAddress.unsafelyUnwrapped
                        return teacher.withUnsafeBufferPointer { teacher in
                            trainer.gradient(Golden.batch, load: { golden.load(20, images[$0], $1) }) { i, y, dy in
                                let target = teacher.baseAddress.unsafelyUnwrapped + 10 * i
                                for k in 0..<10 { out[10 * i + k] = y[k] }
                                defer { for k in 0..<10 { dout[10 * i + k] = dy[k] } }
                                switch name {
                                case "distill":
                                    return Loss.distillation(
                                        y, teacher: target, classes: 10, label: labels[i], temperature: 2,
                                        labelWeight: 0.5, batch: Golden.batch, gradient: dy)
                                case "fidelity":
                                    return Loss.squaredError(y, target: target, classes: 10, batch: Golden.batch, gradient: dy)
                                default:
                                    return Loss.crossEntropy(y, classes: 10, label: labels[i], batch: Golden.batch, gradient: dy)
                                }
                            }
                        }
                    }
                }
                let slope = dlogits.reduce(0.0) { $0 + Double(abs($1)) }
                let deviation = try golden.file.doubleAttribute("float32_max", of: "\(name)/logits") ?? 0
                try golden.expect("\(name)/loss", [Float(loss)], propagated: slope * deviation)
                try golden.expect("\(name)/logits", logits)
                try golden.expect("\(name)/dlogits", dlogits)
                if name != "fidelity" {
                    let gradient = Parameters(golden.network)
                    gradient.buffer.copy(from: trainer.sum.parameters)
                    for tensor in golden.network.tensors {
                        try golden.expect("\(name)/gradient/\(tensor.name)", gradient.canonical(tensor))
                    }
                }
                if bounded {
                    let dz = Bounds(golden.network)
                    dz.buffer.copy(from: trainer.sum.bounds)
                    for layer in golden.network.layers {
                        try golden.expect("\(name)/gradient/bounds/\(layer.name)", dz[layer], serial: layer.side * layer.side)
                    }
                }
            }
        }
    }

    @Test(arguments: cases) func tenSteps(file: String, set: InstructionSet) throws {
        let golden = try Golden(file), labels = golden.labels
        let images = try golden.images("training/images")
        let trainer = Trainer(golden.network, kernels: set.kernels)
        trainer.reset(golden.parameters())
        let losses = (0..<10).map { step in
            Float(
                trainer.step(Golden.batch, SGD(rate: 0.001), load: { golden.load(40 + step, images[20 * step + $0], $1) }) { i, y, dy in
                    Loss.crossEntropy(y, classes: 10, label: labels[i], batch: Golden.batch, gradient: dy)
                })
        }
        try golden.expect("training/loss", losses)
        for tensor in golden.network.tensors { try golden.expect("training/final/\(tensor.name)", trainer.parameters.canonical(tensor)) }
    }
}
