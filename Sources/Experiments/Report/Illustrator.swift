import Attacks
import Datasets
import Defenses
import Federation
import Network
import Tensor

/// Makes the illustration of a finished training: what its images look like, and what the trigger does inside the network.
struct Illustrator {
    private static let pictures = 10, images = 500, bins = 40

    private let data: RunData, backdoor: Backdoor, classNames: [String]
    private let server: Server

    /// - Parameter backdoor: what is measured.
    init(_ data: RunData, _ backdoor: Backdoor, classNames: [String], _ server: Server) {
        (self.data, self.backdoor, self.classNames, self.server) = (data, backdoor, classNames, server)
    }

    /// - Parameter bounds: fitted on `model`.
    func illustration(_ model: Parameters, _ bounds: Bounds) -> Illustration {
        Illustration(strips: strips, histograms: histograms(model, bounds))
    }

    private var strips: [Illustration.Strip] {
        let synthetic = data.synthetic
        let shown = oneOfEachClass(data.evaluation), triggered = shown.triggered(backdoor)
        var strips = [
            strip("clean images", shown), strip("the same, triggered, with the attacker's label", triggered),
            strip("FM images", oneOfEachClass(synthetic.subset(synthetic.positions(.clean)))),
        ]
        let poisoned = synthetic.subset(Array(synthetic.poisonedPositions.prefix(Self.pictures)))
        if poisoned.count > 0 { strips.append(strip("poisoned FM images, with the attacker's label", poisoned)) }
        return strips
    }

    /// The first image of every class, of the first ten classes.
    private func oneOfEachClass(_ samples: Samples) -> Samples {
        let firsts = classNames.indices.prefix(Self.pictures).compactMap { label in
            (0..<samples.count).first { samples.trueLabel($0) == label }
        }
        return samples.subset(firsts)
    }

    private func strip(_ name: String, _ samples: Samples) -> Illustration.Strip {
        var pixels: [UInt8] = []
        for i in 0..<samples.count {
            samples.withPixels(i) { image in
                for k in 0..<samples.set.imageBytes { pixels.append(UInt8(max(0, min(255, (image[k] * 255).rounded())))) }
            }
        }
        return Illustration.Strip(
            name: name, channels: samples.set.channels, side: samples.set.height, pixels: pixels,
            labels: (0..<samples.count).map { classNames[samples.label($0)] })
    }

    /// For every layer, of the channel in which the bound cuts most triggered images beyond the clean ones it cuts.
    private func histograms(_ model: Parameters, _ bounds: Bounds) -> [Illustration.Histogram] {
        let backdoor = backdoor.each[0]
        let victims = data.evaluation.subset(
            Array(
                (0..<data.evaluation.count).filter {
                    backdoor.relabeling.label(data.evaluation.trueLabel($0), classes: classNames.count) != data.evaluation.trueLabel($0)
                }.prefix(Self.images)))
        let clean = maxima(model, victims), triggered = maxima(model, victims.triggered(backdoor))
        let network = model.network
        return network.layers.map { layer in
            let z = bounds[layer]
            func over(_ channel: Int, _ maxima: [Float]) -> Double {
                Double(Self.column(network, layer, channel, maxima).filter { $0 > z[channel] }.count) / Double(max(1, victims.count))
            }
            let gains = (0..<network.units(layer)).map { over($0, triggered) - over($0, clean) }
            let channel = gains.indices.max { (gains[$0], -$0) < (gains[$1], -$1) } ?? 0
            let a = Self.column(network, layer, channel, clean), b = Self.column(network, layer, channel, triggered)
            let largest = Double((a + b + (z[channel].isFinite ? [z[channel]] : [])).max() ?? 0)
            let high = largest > 0 ? largest * 1.02 : 1
            return Illustration.Histogram(
                layer: layer.name, channel: channel, high: high, bound: Double(z[channel]), clean: Self.counts(a, high),
                triggered: Self.counts(b, high), cleanOver: over(channel, clean), triggeredOver: over(channel, triggered))
        }
    }

    /// The largest activation of every channel in every image, (images, bounds), without any bound.
    private func maxima(_ model: Parameters, _ samples: Samples) -> [Float] {
        let network = model.network, channels = network.totalBounds
        var maxima = [Float](repeating: 0, count: samples.count * channels)
        maxima.withUnsafeMutableBufferPointer { maxima in
            guard let out = maxima.baseAddress else { return }
            server.predictor(network).forEachChunk(samples.count, model, Bounds(network), load: { samples.load($0, into: $1) }) {
                first, n, workspace in
                let row = FloatBuffer(channels), unbounded = Bounds(network)  // kernels store whole aligned vectors
                for i in 0..<n {
                    workspace.maxima(i, unbounded, into: row.base)
                    (out + (first + i) * channels).update(from: row.base, count: channels)
                }
            }
        }
        return maxima
    }

    private static func column(_ network: ClampNet, _ layer: Layer, _ channel: Int, _ maxima: [Float]) -> [Float] {
        stride(from: network.boundOffset(layer) + channel, to: maxima.count, by: network.totalBounds).map { maxima[$0] }
    }

    static func counts(_ values: [Float], _ high: Double) -> [Int] {
        var counts = [Int](repeating: 0, count: bins)
        for value in values { counts[min(bins - 1, Int(Double(value) / high * Double(bins)))] += 1 }
        return counts
    }
}
