import KernelTable
import Tensor

/// One comparison of the kernels with `Reference`: `error` is normalised (1 would mean nothing is right) and must not
/// pass `limit`.
public struct KernelCheck: Sendable {
    public var name: String
    public var error: Double, limit: Double
    /// NaN does not hold.
    public var holds: Bool { error <= limit }
}

/// Compares instruction sets with the plain reference on a random network with bounds that cut: logits of a few images,
/// and the gradient of each tensor and of each layer's bounds along a random direction, against central differences.
public struct ReferenceCheck: Sendable {
    /// Images given to the kernels: a full chunk and a partial one.
    private static let images = Workspace.capacity + 2
    /// Those that the reference computes too.
    private let compared: [Int]
    /// float32 through eight to eleven layers with Winograd transforms loses about 1e-5 of the largest logit.
    private static let logitLimit = 1e-4, gradientLimit = 2e-4
    private static let step = 1e-8

    let network: ClampNet
    let parameters: Parameters
    let bounds: Bounds
    private let reference: Reference
    private let logits: [[Double]]
    /// Derivatives of the mean loss over `compared` along `direction`, for each tensor, then each layer's bounds.
    private let slopes: [Double]

    /// - Parameter images: 3 for the first and last of the first chunk and the last of the second, 1 for that one only.
    public init(channels: Int, classes: Int, head: Head = .none, threads: Int, images: Int = 3) {
        compared = Array([0, Workspace.capacity - 1, Self.images - 1].suffix(images))
        network = ClampNet(channels: channels, classes: classes, head: head)
        bounds = Bounds(network)
        parameters = Parameters(network)
        var generator = Scrambler(state: UInt64(channels * 1000 + classes))
        parameters.initialize(normal: { (g: inout Scrambler) in g.gaussian() }, using: &generator)
        for tensor in network.tensors where tensor.shape.count == 1 {
            parameters.setCanonical(tensor, (0..<tensor.shape[0]).map { _ in Float(0.1 * generator.gaussian()) })
        }
        for layer in network.layers {
            bounds[layer] = (0..<network.units(layer)).map { $0 % 4 == 3 ? .infinity : 0.5 + 0.25 * Float($0 % 4) }
        }
        let reference = Reference(parameters, bounds), net = network
        self.reference = reference
        let inputs = compared.map { reference.inputs(Self.image($0, channels: net.channels)) }
        logits = inputs.map { reference.logits($0[reference.stages - 1], from: reference.stages - 1) }
        slopes = Self.slopes(reference, inputs, compared, threads)
    }

    /// Compares one instruction set.
    public func run(_ set: InstructionSet, threads: Int) -> [KernelCheck] {
        let kernels = set.kernels
        let predicted = Predictor(network, kernels: kernels, threads: threads).logits(Self.images, parameters, bounds, load: load)
        var worst = 0.0, largest = 0.0
        for (n, image) in compared.enumerated() {
            for k in 0..<network.classes {
                let difference = abs(Double(predicted[image * network.classes + k]) - logits[n][k])
                worst = difference <= worst ? worst : difference  // lets NaN through
                largest = max(largest, abs(logits[n][k]))
            }
        }
        return [KernelCheck(name: "logits", error: worst / largest, limit: Self.logitLimit)] + gradients(kernels, threads)
    }

    private func gradients(_ kernels: KernelTable, _ threads: Int) -> [KernelCheck] {
        let trainer = Trainer(network, kernels: kernels, lanes: Trainer.serverLanes, threads: threads)
        trainer.reset(parameters, bounds: bounds)
        let n = compared.count, classes = network.classes
        _ = trainer.gradient(
            n, load: { load(compared[$0], $1) },
            loss: { i, logits, gradient in
                Loss.crossEntropy(logits, classes: classes, label: compared[i] % classes, batch: n, gradient: gradient)
            })
        let tensors = network.tensors.map { tensor in
            (tensor.name, (0..<tensor.canonicalCount).map { Double(trainer.sum.parameters.base[tensor.place($0)]) })
        }
        let layers = network.layers.map { layer in
            ("\(layer.name)/bounds", network.bounds(of: layer).map { Double(trainer.sum.bounds.base[$0]) })
        }
        return (tensors + layers).enumerated().map { at, named in
            let direction = Self.direction(at, named.1.count)
            let slope = zip(named.1, direction).reduce(0) { $0 + $1.0 * $1.1 }
            let norm = named.1.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return KernelCheck(name: "gradient of \(named.0)", error: abs(slope - slopes[at]) / norm, limit: Self.gradientLimit)
        }
    }

    private func load(_ i: Int, _ x: UnsafeMutablePointer<Float>) {
        let c = network.channels, image = Self.image(i, channels: c)
        for k in image.indices {
            let channel = k / 1024, y = k % 1024 / 32, column = k % 32
            x[((y + 1) * 34 + column + 1) * c + channel] = Float(image[k])
        }
    }

    /// A repeatable image of values near a normalised photograph's, exact in float32.
    private static func image(_ i: Int, channels: Int) -> [Double] {
        var generator = Scrambler(state: UInt64(i + 77))
        return (0..<channels * 1024).map { _ in Double(Float(generator.gaussian())) }
    }

    /// Random signs.
    private static func direction(_ at: Int, _ count: Int) -> [Double] {
        var generator = Scrambler(state: UInt64(at + 500))
        return (0..<count).map { _ in generator.next() & 1 == 0 ? 1 : -1 }
    }

    private static func slopes(_ reference: Reference, _ inputs: [[[Double]]], _ compared: [Int], _ threads: Int) -> [Double] {
        let tensors = reference.network.tensors.count, all = tensors + reference.network.layers.count, out = FloatBuffer64(all)
        parallel(all, threads: threads) { at, _ in
            let stage = at < tensors ? at / 2 : at - tensors
            let direction = direction(at, at < tensors ? reference.weights[at].count : reference.bounds[stage].count)
            func loss(_ h: Double) -> Double {
                var moved = reference
                for k in direction.indices {
                    if at < tensors { moved.weights[at][k] += h * direction[k] } else { moved.bounds[stage][k] += h * direction[k] }
                }
                return zip(compared, inputs).reduce(0) { sum, image in
                    sum + Reference.crossEntropy(moved.logits(image.1[stage], from: stage), label: image.0 % reference.network.classes)
                } / Double(compared.count)
            }
            out.base[at] = (loss(step) - loss(-step)) / (2 * step)
        }
        return (0..<all).map { out.base[$0] }
    }
}

/// SplitMix64, for checks only: runs draw from named streams.
private struct Scrambler: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func gaussian() -> Double {
        let u = Double(next() >> 11) * 0x1p-53, v = Double(next() >> 11) * 0x1p-53
        return (-2 * Mathematics.log(1 - u)).squareRoot() * Mathematics.cos(2 * Double.pi * v)
    }
}
