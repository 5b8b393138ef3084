import Datasets
import Network

/// Models and images as own methods get them: parameters flat, float32, in the canonical order, tensor after tensor.
extension OwnArray {
    /// (parameters)
    public static func parameters(_ model: Parameters) -> OwnArray {
        let values = model.flattened
        return OwnArray(.float(values), [values.count])
    }

    /// (models, parameters)
    public static func models(_ models: [Parameters]) -> OwnArray {
        let width = models.first?.network.parameterCount ?? 0
        let values = [Float](unsafeUninitializedCapacity: models.count * width) { buffer, count in
            for model in models {
                for tensor in model.network.tensors {
                    for i in 0..<tensor.canonicalCount {
                        buffer.initializeElement(at: count, to: model.base[tensor.place(i)])
                        count += 1
                    }
                }
            }
        }
        return OwnArray(.float(values), [models.count, width])
    }

    /// (channels and units): all bounds, layer after layer.
    public static func bounds(_ bounds: Bounds) -> OwnArray {
        OwnArray(.float(Array(bounds.buffer.values)), [bounds.network.totalBounds])
    }

    public static func whole(_ values: [Int]) -> OwnArray { OwnArray(.whole(values.map { Int64($0) }), [values.count]) }
}

extension OwnJSON {
    /// Name and shape of every tensor, in the order in which flat parameters have them.
    public static func tensors(_ network: ClampNet) -> OwnJSON {
        .list(network.tensors.map { .list([.text($0.name), .list($0.shape.map { .whole($0) })]) })
    }

    /// Name and channels or units of every layer with bounds, in the order in which flat bounds have them.
    public static func bounded(_ network: ClampNet) -> OwnJSON {
        .list(network.layers.map { .list([.text($0.name), .whole(network.units($0))]) })
    }

    /// A random number for a method, of 53 bits so that every language holds it: the stream is named by the method, the
    /// round and the client.
    public static func seed(_ seed: UInt64, _ method: OwnMethod, round: Int = 0, client: Int = 0) -> OwnJSON {
        let purpose = "own method \(method.kind.rawValue) \(method.label)"
        var stream = RandomStream(seed: seed, purpose: purpose, round: round, client: client)
        return .whole(Int(stream.next() >> 11))
    }
}
