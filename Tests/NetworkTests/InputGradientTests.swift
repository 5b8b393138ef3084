import Tensor
import Testing
@testable import Network

/// The gradient of the image, which the search for triggers follows.
@Suite struct InputGradientTests {
    /// Along the gradient the loss rises by the gradient's squared norm, to first order: central differences. Kinks of
    /// ReLU and pooling within the small step, and rounding, are the allowance.
    @Test func agreesWithCentralDifferences() {
        for channels in [1, 3] {
            for set in InstructionSet.available {
                let network = ClampNet(channels: channels, classes: 7), floats = network.inputFloats, n = 3
                var stream = Lcg(state: 11)
                let parameters = Parameters(network)
                parameters.initialize(normal: { (s: inout Lcg) in Double(s.uniform()) * 1.7 }, using: &stream)
                let images = (0..<n * floats).map { _ in stream.uniform() }, weights = (0..<n * 7).map { _ in stream.uniform() }
                let trainer = Trainer(network, kernels: set.kernels, lanes: 1)
                trainer.reset(parameters)
                trainer.prepareForBounds()
                var gradients = [Float](repeating: 0, count: n * floats)
                func loss(_ x: [Float]) -> Double {
                    trainer.sum.bounds.zero()
                    return trainer.boundGradient(
                        n,
                        load: { i, input in
                            for k in 0..<floats { input[k] = x[i * floats + k] }
                        },
                        loss: { i, y, dy in
                            for k in 0..<7 { dy[k] = weights[i * 7 + k] }
                            return (0..<7).reduce(0) { $0 + Double(y[$1]) * Double(weights[i * 7 + $1]) }
                        }, image: { i, g in for k in 0..<floats { gradients[i * floats + k] = g[k] } })
                }
                _ = loss(images)
                let direction = gradients, square = direction.reduce(0) { $0 + Double($1) * Double($1) }
                let step = 1e-2 / square.squareRoot()
                let up = loss(zip(images, direction).map { $0 + Float(step) * $1 }),
                    down = loss(zip(images, direction).map { $0 - Float(step) * $1 })
                #expect(abs((up - down) / (2 * step) / square - 1) <= 0.02, "\(set), \(channels) channels")
            }
        }
    }
}

/// A linear congruential generator.
private struct Lcg: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6364136223846793005 &+ 1442695040888963407
        return state ^ state >> 32
    }

    /// Uniform in -1 ... 1.
    mutating func uniform() -> Float { Float(next() >> 40 & 0xffffff) / Float(1 << 23) - 1 }
}
