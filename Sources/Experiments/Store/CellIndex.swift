import Federation
import HDF5
import OwnMethods

/// The trainings of a folder of results: which file holds which, with what options, and how far it is. In results.h5 it is the group
/// /cells.
public struct CellIndex: Sendable {
    public struct Entry: Sendable {
        /// The name of the file in the folder's cells, without ".h5".
        public var key: String
        /// For people.
        public var title: String
        public var configuration: RunConfiguration
        /// Defences on its model that tables ask for.
        public var defenses: [String]
        /// Rounds that are done: nil where there is no file yet, -1 where the initialisation is not done either.
        public var finishedRounds: Int?
        /// Whether rounds and defences are done.
        public var isFinished: Bool
        /// Wall time.
        public var seconds: Double

        /// "finished", "2 of 3 rounds", "not begun".
        public var progress: String {
            guard let finishedRounds else { return "not begun" }
            if isFinished { return "finished" }
            return finishedRounds < configuration.rounds ? "\(max(0, finishedRounds)) of \(configuration.rounds) rounds" : "defences to do"
        }

        /// Names and values of all options, as run files show them, with the defences on the model among them.
        public var options: [(name: String, value: String)] {
            var whole = configuration
            whole.defenses += defenses
            return whole.readable.filter { !CellIndex.ofTheData.contains($0.name) }.map { ($0.name, OwnMethod.shown($0.value)) }
        }
    }

    public private(set) var entries: [Entry] = []

    /// Options that all trainings of a folder have in common by what they were computed on.
    private static let ofTheData = ["data", "synthetic", "isa"]

    init() {}

    mutating func add(_ training: Training, title: String, _ record: CellRecord?) {
        let isFinished = record.map { record in
            record.finishedRounds == training.configuration.rounds && training.defenses.allSatisfy { record.defended[$0] != nil }
        }
        entries.append(
            Entry(
                key: training.key, title: title, configuration: training.configuration, defenses: training.defenses,
                finishedRounds: record?.finishedRounds, isFinished: isFinished ?? false, seconds: record?.seconds ?? 0))
    }

    /// Writes /cells: an array of equal length for each column.
    func write(_ file: HDF5File) throws {
        try file.createGroup("/cells")
        try file.writeStrings("/cells/key", entries.map(\.key))
        try file.writeStrings("/cells/title", entries.map(\.title))
        try file.writeStrings("/cells/options", try entries.map { try $0.configuration.json() })
        try file.writeStrings("/cells/defenses", entries.map { $0.defenses.joined(separator: " ") })
        try file.write("/cells/finished_rounds", entries.map { Int64($0.finishedRounds ?? Self.absent) }, shape: [entries.count])
        try file.write("/cells/finished", entries.map { UInt8($0.isFinished ? 1 : 0) }, shape: [entries.count])
        try file.write("/cells/seconds", entries.map(\.seconds), shape: [entries.count])
    }

    /// Stands for no file.
    private static let absent = -2

    /// Throws `HDF5Error`, `RunError.incompatible`.
    init(_ file: HDF5File) throws {
        guard try file.exists("/cells") else { return }
        let keys = try file.readStrings("/cells/key"), titles = try file.readStrings("/cells/title"),
            options = try file.readStrings("/cells/options")
        let defenses = try file.readStrings("/cells/defenses"),
            seconds = try file.read("/cells/seconds", as: Double.self, shape: [keys.count]).values
        let rounds = try file.read("/cells/finished_rounds", as: Int64.self, shape: [keys.count]).values
        let finished = try file.read("/cells/finished", as: UInt8.self, shape: [keys.count]).values
        guard [titles, options, defenses].allSatisfy({ $0.count == keys.count }) else {
            throw RunError.incompatible("\(file.path), /cells: expected arrays of \(keys.count), the number of keys")
        }
        entries = try keys.indices.map { at in
            let configuration = try RunConfiguration.from(json: options[at], path: file.path)
            return Entry(
                key: keys[at], title: titles[at], configuration: configuration,
                defenses: defenses[at].split(separator: " ").map(String.init),
                finishedRounds: rounds[at] == Int64(Self.absent) ? nil : Int(rounds[at]), isFinished: finished[at] == 1,
                seconds: seconds[at])
        }
    }
}
