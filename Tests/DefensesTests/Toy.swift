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

/// A network on which a model is a few numbers: the biases of conv1, all else 0.
enum Toy {
    static let network = ClampNet(channels: 1, classes: 10)

    /// `values` in the biases of conv1, from the first on; `more` elsewhere, by tensor.
    static func model(_ values: [Float], _ more: [String: [Float]] = [:]) -> Parameters {
        let model = Parameters(network)
        for (name, values) in more.merging(["conv1/bias": values], uniquingKeysWith: { $1 }) { write(values, name, model) }
        return model
    }

    static func write(_ values: [Float], _ name: String, _ model: Parameters) {
        for tensor in network.tensors where tensor.name == name {
            for (i, value) in values.enumerated() { model.base[tensor.place(i)] = value }
        }
    }

    static func values(_ model: Parameters, _ count: Int, _ name: String = "conv1/bias") -> [Float] {
        network.tensors.filter { $0.name == name }.flatMap { Array(model.canonical($0).prefix(count)) }
    }

    /// Updates of clients 0, 1, ..., all with as many images unless said otherwise.
    static func updates(_ models: [Parameters], images: [Int]? = nil) -> [ClientUpdate] {
        models.indices.map { ClientUpdate(client: $0, images: images?[$0] ?? 100, parameters: models[$0]) }
    }

    static func context(f: Int = 0, threads: Int = 2, server: RuleServer? = nil) -> RuleContext {
        RuleContext(assumedMalicious: f, seed: 1, round: 3, threads: threads, server: server)
    }

    /// The rule on one-number models.
    static func aggregate(_ rule: some AggregationRule, _ numbers: [Float], from global: Float = 0, images: [Int]? = nil, f: Int = 0) throws
        -> Aggregate
    {
        var context = context(f: f)
        return try rule.aggregate(model([global]), updates(numbers.map { model([$0]) }, images: images), &context)
    }

    static func one(_ rule: some AggregationRule, _ numbers: [Float], from global: Float = 0, images: [Int]? = nil, f: Int = 0) throws
        -> Float
    {
        values(try aggregate(rule, numbers, from: global, images: images, f: f).model, 1)[0]
    }

    /// Every parameter `centre`'s plus one uniform in -deviation...deviation.
    static func random(_ seed: UInt64, around centre: Parameters? = nil, deviation: Float = 0.1) -> Parameters {
        let model = centre.map(Parameters.init(copying:)) ?? Parameters(network)
        var stream = RandomStream(seed: seed, purpose: "toy")
        for tensor in network.tensors {
            for k in 0..<tensor.canonicalCount {
                model.base[tensor.place(k)] += deviation * (2 * Float(stream.next() >> 40) * 0x1p-24 - 1)
            }
        }
        return model
    }

    /// A server that trains to `trained` and whose logits are the biases of the output layer.
    static func server(trained: Parameters) -> RuleServer {
        RuleServer(
            normalization: Normalization(mean: [0.5], std: [0.25]), side: 28, train: { trained },
            logits: { model, count, load in
                (0..<count).flatMap { _ in values(model, 10, "fc2/bias") }
            })
    }

    static func equal(_ a: Parameters, _ b: Parameters) -> Bool { a.buffer.values.elementsEqual(b.buffer.values) }
}

/// The text of the DefenseError that `body` throws.
func refusal(_ body: () throws -> Void) -> String? {
    do { try body(); return nil } catch let error as DefenseError { return error.description } catch { return "other: \(error)" }
}
