import CStart
import Defenses
import Network

/// Refuses, before hours of work, a round that does not fit the memory of this machine.
enum Memory {
    /// Throws `RunError.incompatible` with the bytes that are needed and those that are there.
    static func require(_ rule: any AggregationRule, _ configuration: RunConfiguration, _ network: ClampNet) throws {
        let size = RoundSize(clients: configuration.clients, participants: configuration.participants, rounds: configuration.rounds,
                             modelBytes: network.parameterFloats * MemoryLayout<Float>.size)
        let needed = rule.memoryNeeded(size)
        guard let available, needed > available else { return }
        let streaming = AggregationRules.all.filter { $0 is any StreamingRule.Type }.map { $0.name }
        throw RunError.incompatible("\(type(of: rule).name) with \(size.participants) of \(size.clients) clients a round needs \(gigabytes(needed)) of memory, "
            + "there are \(gigabytes(available)): a lower --participation, fewer --clients, or a rule that takes updates one by one (\(streaming.joined(separator: ", ")))")
    }

    /// What this process may still take, by the machine, its control groups and its own limits; nil where nothing says.
    static var available: Int? {
        var words: UnsafePointer<CChar>?
        let free = Int(free_memory(&words))
        return free < 0 ? nil : free
    }

    private static func gigabytes(_ bytes: Int) -> String { "\((Double(bytes) / 1e8).rounded() / 10) GB" }
}
