import CStart
import Defenses
import Network

/// What a run takes of memory besides its data, which are there already: known before anything is allocated.
struct MemoryPlan {
    /// What it is for, and bytes.
    let parts: [(name: String, bytes: Int)]

    init(_ rule: any AggregationRule, _ configuration: RunConfiguration, _ data: RunData, threads: Int) {
        let network = data.network, model = 4 * network.parameterFloats, participants = configuration.participants
        let trainers = max(1, min(threads, participants))
        let size = RoundSize(clients: configuration.clients, participants: participants, rounds: configuration.rounds, modelBytes: model)
        let screened = configuration.defenses.contains { $0 == FMScreen.name || ModelDefenses.make($0) != nil } ? BoundFit.filterBytes(network, images: data.synthetic.count) : 0
        parts = [("\(trainers) clients at a time", trainers * Trainer.bytes(network)),
                 ("the server", Trainer.bytes(network, lanes: Trainer.serverLanes, threads: threads) + Predictor.bytes(network, threads: threads)),
                 ("\(type(of: rule).name) with \(participants) of \(configuration.clients) clients", rule.memoryNeeded(size)),
                 ("fusion and defences", 8 * model + 8 * network.totalBounds * data.synthetic.count + screened)]
    }

    var bytes: Int { parts.reduce(0) { $0 + $1.bytes } }

    /// Throws `RunError.memory` when that is more than the process may take.
    func check() throws {
        var words: UnsafePointer<CChar>?
        let free = Int(free_memory(&words))
        guard free >= 0, free < bytes else { return }
        let list = parts.map { "\($0.name) \(Self.megabytes($0.bytes))" }.joined(separator: ", ")
        throw RunError.memory(needed: "the plan takes \(Self.megabytes(bytes)) (\(list))",
                              free: "\(Self.megabytes(free)) are left (\(words.map { String(cString: $0) } ?? ""))")
    }

    private static func megabytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }
}
