import Network
import Tensor

/// A rule that can take a round's updates one after the other and forget each, so that its memory does not grow with the
/// number of clients.
public protocol StreamingRule: AggregationRule {
    /// Begins a round. `images` are those of the clients whose updates will come, ascending by client.
    func stream(_ global: Parameters, images: [Int], _ context: RuleContext) -> any UpdateStream
}

/// The sums of a round that has begun.
public protocol UpdateStream: AnyObject {
    /// Takes the next client's update and returns what it teaches in fusion. All teachers of a round weigh the same.
    func add(_ model: Parameters) -> Parameters
    /// The aggregate, once all have come.
    func finish() -> Parameters
}

extension StreamingRule {
    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let stream = stream(global, images: updates.map(\.images), context)
        let teachers = updates.map { Teacher(stream.add($0.parameters)) }
        return Aggregate(model: stream.finish(), teachers: teachers)
    }

    public func memoryNeeded(_ size: RoundSize) -> Int { 8 * size.modelBytes }
}

/// G + sum w_i (W_i - G), summed in double in the order in which the models come.
final class RunningSum {
    private let global: Parameters, threads: Int
    private var sum: [Double]

    init(_ global: Parameters, threads: Int) {
        (self.global, self.threads) = (global, threads)
        sum = (0..<global.count).map { Double(global.base[$0]) }
    }

    func add(_ model: Parameters, weight: Double) {
        let g = global.base, w = model.base
        sum.withUnsafeMutableBufferPointer { buffer in
            guard let sum = buffer.baseAddress else { return }
            forEachBlock(global.count, threads: threads) { first, width, _ in
                for k in first..<first + width { sum[k] += weight * (Double(w[k]) - Double(g[k])) }
            }
        }
    }

    var model: Parameters {
        let result = Parameters(global.network)
        for k in 0..<sum.count { result.base[k] = Float(sum[k]) }
        return result
    }
}
