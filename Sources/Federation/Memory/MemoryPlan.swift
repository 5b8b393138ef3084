import Attacks
import CPlatform
import Defenses
import Detection
import ModelDefenses
import Network
import Rules

/// What a run takes of memory besides its data, which are there already: known before anything is allocated.
struct MemoryPlan {
    /// What it is for, and bytes.
    let parts: [(name: String, bytes: Int)]

    init(_ rule: any AggregationRule, _ configuration: RunConfiguration, _ data: RunData, threads: Int) {
        let networks = configuration.presentHeads.map { ClampNet(channels: data.network.channels, classes: data.network.classes, head: $0) }
        let model = 4 * (networks.map(\.parameterFloats).max() ?? 0), participants = configuration.mostParticipants
        let trainers = max(1, min(threads, configuration.mostTrained)), adapts = configuration.adaptation != nil
        let size = RoundSize(clients: configuration.clients, participants: participants, rounds: configuration.rounds, modelBytes: model)
        let flips = configuration.defenses.contains(FlippedUpdates.name)
        let looks =
            configuration.defenses.contains { ModelDefenses.make($0) != nil }
            ? max(
                Evidence.bytes(data.network, images: data.synthetic.count), flips ? FlippedUpdates.bytes(images: data.synthetic.count) : 0)
            : 0
        let votes =
            configuration.vouches
            ? Votes.bytes(clients: configuration.clients, images: data.synthetic.count, classes: data.network.classes) : 0
        func sum(_ bytes: (ClampNet) -> Int) -> Int { networks.reduce(0) { $0 + bytes($1) } }
        parts = [
            ("\(trainers) clients at a time", trainers * sum { Trainer.bytes($0) + (adapts ? TriggerAdaptation.bytes($0) : 0) }),
            (
                "the server",
                sum {
                    Trainer.bytes($0, lanes: Trainer.serverLanes) + Predictor.bytes($0) + 3 * 4 * $0.parameterFloats
                        + max(1, threads) * Workspace.bytes($0, backward: true)  // clients work in these, too
                }
            ),
            ("\(rule.label) with \(participants) of \(configuration.clients) clients", rule.memoryNeeded(size)),
            ("fusion and defences", 8 * model + 8 * (networks.map(\.totalBounds).max() ?? 0) * data.synthetic.count + looks + votes),
        ]
    }

    var bytes: Int { parts.reduce(0) { $0 + $1.bytes } }

    /// Throws `RunError.memory` when that is more than the process may take.
    func check() throws {
        var words: UnsafePointer<CChar>?
        let free = Int(free_memory(&words))
        guard free >= 0, free < bytes else { return }
        let list = parts.map { "\($0.name) \(Self.megabytes($0.bytes))" }.joined(separator: ", ")
        throw RunError.memory(
            needed: "the plan takes \(Self.megabytes(bytes)) (\(list))",
            free: "\(Self.megabytes(free)) are left (\(words.map { String(cString: $0) } ?? ""))")
    }

    private static func megabytes(_ bytes: Int) -> String { "\((bytes + (1 << 20) - 1) >> 20) MiB" }
}

/// Refuses, before hours of work, a round that does not fit the memory of this machine.
extension MemoryPlan {
    /// Throws `RunError.incompatible` with the bytes that are needed and those that are there.
    static func require(_ rule: any AggregationRule, _ configuration: RunConfiguration, _ network: ClampNet) throws {
        let size = RoundSize(
            clients: configuration.clients, participants: configuration.mostParticipants, rounds: configuration.rounds,
            modelBytes: network.parameterFloats * MemoryLayout<Float>.size)
        let needed = rule.memoryNeeded(size)
        guard let available, needed > available else { return }
        let streaming = AggregationRules.all.filter { $0 is any StreamingRule.Type }.map { $0.name }
        throw RunError.incompatible(
            "\(rule.label) with \(size.participants) of \(size.clients) clients a round needs \(gigabytes(needed)) of memory, "
                + "there are \(gigabytes(available)): a lower --participation, fewer --clients, or a rule that takes updates one by one (\(streaming.joined(separator: ", ")))"
        )
    }

    /// What this process may still take, by the machine, its control groups and its own limits; nil where nothing says.
    static var available: Int? {
        var words: UnsafePointer<CChar>?
        let free = Int(free_memory(&words))
        return free < 0 ? nil : free
    }

    private static func gigabytes(_ bytes: Int) -> String { "\((Double(bytes) / 1e8).rounded() / 10) GB" }
}
