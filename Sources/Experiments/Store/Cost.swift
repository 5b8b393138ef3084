import Federation
import HDF5
import Network
import Numerics

/// What a defence takes: a rule in every round, a defence on the model once. NaN where nothing was measured.
public struct Cost: Equatable, Sendable {
    /// Wall time of a whole round under the rule, or of the defence on the model; and of the rule's arithmetic alone.
    public var seconds = Double.nan, ruleSeconds = Double.nan
    /// Largest resident memory of the process meanwhile.
    public var memory = Double.nan
    /// Sent between server and clients, both ways, computed from the sizes of what they exchange.
    public var bytes = Double.nan
    /// The same as shares of a round without defence.
    public var secondsShare = Double.nan, memoryShare = Double.nan, bytesShare = Double.nan

    public init() {}

    func shares(of plain: Cost) -> Cost {
        var cost = self
        cost.secondsShare = seconds / plain.seconds
        cost.memoryShare = memory / plain.memory
        cost.bytesShare = bytes / plain.bytes
        return cost
    }
}

/// The costs that a run file records.
struct CostRecord: Sendable {
    /// A round of the training.
    private(set) var round = Cost()
    /// Defences on the model, by name.
    private(set) var defended: [String: Cost] = [:]

    init(_ file: HDF5File) throws {
        func timing(_ name: String) throws -> [Double] {
            let path = "/timing/\(name)"
            return try file.exists(path) ? try file.read(path, as: Double.self).values : []
        }
        let participants = Double(try RunConfiguration.from(json: try file.readString("/config/json"), path: file.path).participants)
        let ends = try timing("seconds")
        // Older versions counted from 0 again in a resumed run.
        round.seconds = Self.median(zip(ends.dropFirst(), ends).map { $0 - $1 }.filter { $0 > 0 })
        round.ruleSeconds = Self.median(try timing("rule_seconds"))
        round.memory = try timing("peak_bytes").filter { !$0.isNaN }.max() ?? .nan
        let network = try RunFile.readNetwork(file), model = Double(4 * network.parameterCount)  // as float32
        round.bytes = 2 * participants * model
        guard try file.exists("/defended") else { return }
        for name in try RunFile.defendedNames(file) {
            var cost = Cost()
            cost.seconds = try timing("defended_\(name)").first ?? .nan
            cost.memory = try timing("peak_bytes_\(name)").first ?? .nan
            let parameters = try file.exists("/defended/\(name)/conv1") ? model : 0
            let bounds = try file.exists("/defended/\(name)/bounds") ? Double(4 * network.totalBounds) : 0
            cost.bytes = participants * (parameters + bounds)
            defended[try RunFile.identity(file, name)] = cost
        }
    }

    private static func median(_ values: [Double]) -> Double {
        let sorted = values.filter { !$0.isNaN }.sorted()
        guard !sorted.isEmpty else { return .nan }
        return (sorted[sorted.count / 2] + sorted[(sorted.count - 1) / 2]) / 2
    }
}
