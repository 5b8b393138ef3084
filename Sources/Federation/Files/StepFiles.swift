import Datasets
import DefenseInterface
import Defenses
import HDF5
import Network

/// Global checkpoints: what a round begins and ends with. Run files are such files, too.
public enum GlobalFile {
    /// - Throws: `RunError.incompatible` for other checkpoints and for one whose bounds are due, unless `boundsMayBeDue`.
    public static func read(_ path: String, boundsMayBeDue: Bool = false) throws -> FederationState {
        let file = try HDF5File.open(path), kind = try StepKind(of: file)
        guard kind == .global else { throw RunError.incompatible("\(path): expected a global checkpoint, got \(kind.description)") }
        let state = try StepKind.readState(file)
        guard boundsMayBeDue || !state.boundsAreDue else {
            throw RunError.incompatible("\(path): the bounds are to be handed out; step bound comes next")
        }
        return state
    }

    /// `audit`: what a fit of the bounds found out.
    public static func write(_ state: FederationState, _ data: ServerData, audit: [Finding] = [], to path: String) throws {
        try HDF5File.write(path) { file in
            try RunFile.writeState(state, file)
            try RunFile.writeAttack(state.configuration, state.backdoor(data.backdoor), data.synthetic, file)
            guard !audit.isEmpty else { return }
            try file.createGroup("/audit")
            try file.write(audit, "/audit/")
        }
    }
}

/// Aggregates: a round between aggregation and fusion. `/model` is the aggregate; what fusion needs of the teachers is
/// their mean logits, so that the file does not grow with the number of clients.
public enum AggregateFile {
    /// - Throws: `RunError.incompatible` for other checkpoints, and for logits that are not finite.
    public static func read(_ path: String) throws -> (state: FederationState, row: HistoryRow, teacherLogits: [Float]) {
        let file = try HDF5File.open(path), kind = try StepKind(of: file)
        guard kind == .aggregate else { throw RunError.incompatible("\(path): expected an aggregate, got \(kind.description)") }
        let state = try StepKind.readState(file)
        var row = HistoryRow(round: state.nextRound)
        for (name, field) in numbers { row[keyPath: field] = try file.doubleAttribute(name, of: "/aggregate") ?? .nan }
        guard state.configuration.asksTeachers(inRound: row.round) else { return (state, row, []) }
        let logits = try file.read("/aggregate/teacher_logits", as: Float.self, shape: [-1, state.network.classes]).values
        guard logits.allSatisfy(\.isFinite) else {
            throw RunError.incompatible("\(path), /aggregate/teacher_logits: expected finite numbers, got NaN or infinity")
        }
        return (state, row, logits)
    }

    static func write(_ round: AggregatedRound, _ data: ServerData, to path: String) throws {
        try HDF5File.write(path) { file in
            try RunFile.writeState(round.state, file)
            try RunFile.writeAttack(round.state.configuration, round.state.backdoor(data.backdoor), data.synthetic, file)
            try file.createGroup("/aggregate")
            for (name, field) in numbers { try file.setAttribute(name, of: "/aggregate", round.row[keyPath: field]) }
            for (name, clients) in [("clients", round.clients), ("missing", round.missing), ("rejected", round.rejected ?? [])] {
                try file.write("/aggregate/\(name)", clients.map { Int64($0) }, shape: [clients.count])
            }
            let classes = data.synthetic.set.classes
            if !round.teacherLogits.isEmpty {
                try file.write("/aggregate/teacher_logits", round.teacherLogits, shape: [round.teacherLogits.count / classes, classes])
            }
        }
    }

    nonisolated(unsafe) private static let numbers: [(String, WritableKeyPath<HistoryRow, Double>)] = [
        ("loss", \.loss), ("precision", \.precision), ("recall", \.recall), ("false_positive_rate", \.falsePositiveRate),
    ]
}

/// The three kinds of checkpoints that steps pass on.
enum StepKind: Equatable, CustomStringConvertible {
    case global, update, aggregate, other

    init(of file: HDF5File) throws {
        if try file.stringAttribute("format") != RunFile.format { self = .other; return }
        try RunFile.requireFormat(file)
        self =
            try file.exists("/update") ? .update : try file.exists("/aggregate") ? .aggregate : try file.exists("/state") ? .global : .other
    }

    var description: String {
        switch self {
        case .global: "a global checkpoint"
        case .update: "a client's update"
        case .aggregate: "an aggregate, which step fuse takes"
        case .other: "a file without the state of a run"
        }
    }

    /// The state in a global checkpoint or an aggregate.
    static func readState(_ file: HDF5File) throws -> FederationState {
        let configuration = try readConfiguration(file), network = try RunFile.readNetwork(file)
        do { try configuration.target.check(classes: network.classes) } catch {
            throw RunError.incompatible("\(file.path): /config/json has target \(configuration.target), /model \(network.classes) classes")
        }
        var state = FederationState(
            configuration, network, try RunFile.readNormalization(file, channels: network.channels),
            try RunFile.readProvenance(file))
        guard network == state.network else {
            throw RunError.incompatible("\(file.path): /model is \(network), its configuration says \(state.network)")
        }
        try RunFile.readState(&state, file)
        guard state.finishedRounds != nil else { throw RunError.incompatible("\(file.path): the model was not initialised yet") }
        return state
    }

    /// The configuration, which its hash must fit.
    static func readConfiguration(_ file: HDF5File) throws -> RunConfiguration {
        let json = try file.readString("/config/json"), stored = try file.stringAttribute("hash", of: "/config")
        guard stored == RunFile.hash(json) else {
            throw RunError.incompatible("\(file.path): /config/json does not fit its hash; it was changed after it was written")
        }
        return try RunConfiguration.from(json: json, path: file.path)
    }
}

extension FederationState {
    /// SHA-256 of the finished rounds and the model: names the model that clients started from.
    public var fingerprint: String {
        var hash = SHA256()
        hash.update(Array("\(finishedRounds ?? -1)\n".utf8))
        for global in prototypes.map(\.global) {
            for tensor in global.network.tensors { global.canonical(tensor).withUnsafeBytes { hash.update(Array($0)) } }
        }
        return hash.hexadecimal()
    }
}
