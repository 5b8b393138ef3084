import Federation
import Glibc
import HDF5

extension ResultFolder {
    /// Copies what the folders `parts` hold, which must be of one setting, into this one. A training that several have
    /// is taken from the one that went furthest. Returns the joined setting.
    ///
    /// - Throws: `RunError.incompatible` naming the difference, before anything is written; `FileError`.
    public func merge(_ parts: [ResultFolder]) throws -> Setting {
        let setting = try adopt(try Self.joined(parts)), plan = try Plan(setting)
        for training in plan.trainings {
            for part in parts where part.path != path { try take(training, from: part) }
        }
        return setting
    }

    /// Checks, without writing, that `merge` can begin. Throws `RunError.incompatible` naming the difference.
    public func requireJoinable(_ parts: [ResultFolder]) throws {
        let joined = try Self.joined(parts)
        if let begun = try setting() { _ = try joined.joined(with: begun, at: path, replacesOwn: true) }
    }

    /// The setting of all of `parts`.
    private static func joined(_ parts: [ResultFolder]) throws -> Setting {
        var joined: Setting?
        for part in parts {
            guard let setting = try part.setting() else {
                throw RunError.incompatible("\(part.path): expected a folder that reproduce or sweep wrote, with setting.txt")
            }
            joined = try joined?.joined(with: setting, at: part.path) ?? setting
        }
        guard let joined else { throw RunError.incompatible("expected at least one folder") }
        return joined
    }

    private func take(_ training: Training, from part: ResultFolder) throws {
        if let theirs = try part.record(training) {
            let mine = try record(training)
            let better = mine.map { (theirs.finishedRounds, theirs.defended.count) > ($0.finishedRounds, $0.defended.count) } ?? true
            if better { try Self.copy(part.cell(training.key), to: cell(training.key)) }
        }
        if try illustration(of: training) == nil, try part.illustration(of: training) != nil {
            try Self.copy(part.illustration(training.key), to: illustration(training.key))
        }
        let floors = try part.floors(of: training)
        guard !floors.isEmpty else { return }
        try write(floors: try self.floors(of: training).merging(floors) { mine, _ in mine }, of: training)
    }

    /// Copies a run file as one step. Its size is checked by `record`, which has read it.
    private static func copy(_ source: String, to path: String) throws {
        guard let from = Files.stream(source, "re") else { throw FileError(path: source, operation: "open", code: errno) }
        defer { fclose(from) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = fread(&buffer, 1, buffer.count, from)
            if count == 0 { break }
            bytes += buffer[..<count]
        }
        guard ferror(from) == 0 else { throw FileError(path: source, operation: "read", code: errno) }
        try Replacement.write(bytes, to: path)
    }
}
