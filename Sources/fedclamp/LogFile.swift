import Federation
import Glibc
import HDF5
import OwnMethods

/// What a log of `run --log` says, for those who have the log and not the run file.
struct LogFile {
    /// Bytes of a log that is read, at most: a line has less than 1 kB, so these are 16,000 rounds.
    private static let largest = 16 << 20

    private(set) var rows: [HistoryRow] = [], defended: [(name: String, accuracy: Double, attackSuccess: Double)] = []
    /// Of the last start: the run file, the rounds that it was asked for, its options.
    private(set) var facts: [(name: String, value: String)] = [], options: [(name: String, value: String)] = []
    private var starts = 0, places: [String: Int] = [:]

    /// Whether a file begins as a log does: with an object of JSON. HDF5 files begin with a byte that no text has.
    static func looksLikeOne(_ path: String) -> Bool {
        guard let status = Files.status(path), status.st_mode & S_IFMT == S_IFREG else { return false }
        let file = Files.open(path, O_RDONLY)
        defer { close(file) }
        var first: UInt8 = 0
        return file >= 0 && read(file, &first, 1) == 1 && first == UInt8(ascii: "{")
    }

    /// The last line may be cut off: the log was copied while the run wrote it. Throws `Failure.input` with the line that is none of a log,
    /// and what `TextLines` throws.
    init(reading path: String) throws {
        let lines = try TextLines.read(path, limit: Self.largest).lines.filter { !$0.text.isEmpty }
        for (place, line) in lines.enumerated() {
            if let members = OwnJSON.members(line.text), add(members) { continue }
            guard place == lines.count - 1, starts > 0 else {
                throw Failure.input("\(path), line \(line.number): expected a line that run --log writes, got \(line.text.prefix(60))")
            }
        }
        facts.append(("starts", "\(starts)"))
    }

    /// False for an object that is no event.
    private mutating func add(_ members: [String: OwnJSON]) -> Bool {
        let numbers = members.compactMapValues(Self.number)
        switch members["event"] {
        case .text("start"):
            guard case let .text(run)? = members["run"], case let .whole(rounds)? = members["rounds"] else { return false }
            guard case let .object(settings)? = members["options"] else { return false }
            starts += 1
            facts = [("run", run), ("rounds", "\(rounds)")]
            options = settings.sorted { $0.key < $1.key }.map { ($0.key, Self.text($0.value)) }
        case .text("round"):
            guard case let .whole(round)? = members["round"] else { return false }
            while let last = rows.last, last.round >= round { rows.removeLast() }  // a run that began anew
            rows.append(HistoryRow(round: round, numbers: numbers))
        case .text("defence"):
            guard case let .text(name)? = members["name"] else { return false }
            let model = (name, numbers["acc"] ?? .nan, numbers["asr"] ?? .nan), place = places[name] ?? defended.count
            places[name] = place
            if place < defended.count { defended[place] = model } else { defended.append(model) }
        default: return false
        }
        return true
    }

    private static func number(_ value: OwnJSON) -> Double? {
        switch value {
        case let .whole(whole): Double(whole)
        case let .number(number): number
        default: nil
        }
    }

    private static func text(_ value: OwnJSON) -> String {
        switch value {
        case let .text(text): text
        case let .whole(whole): "\(whole)"
        case let .number(number): "\(number)"
        case let .flag(flag): "\(flag)"
        default: ""
        }
    }
}
