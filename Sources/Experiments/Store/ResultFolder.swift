import Federation
import Glibc
import HDF5

/// A folder of results:
///
///     setting.txt          what the results belong to
///     cells/KEY.h5         the run file of a training, resumable
///     cells/KEY.floors     floors measured on a clean training's models
///     cells/KEY.pictures.h5  images and activations of some attacked trainings
///     paper.csv            a paper's own figures, if a user puts them there
///     results.h5, report.html, and for each table .md, .csv, .tex and figures
public struct ResultFolder: Sendable {
    public let path: String

    public init(_ path: String) { self.path = path }

    func cell(_ key: String) -> String { "\(path)/cells/\(key).h5" }
    func floors(_ key: String) -> String { "\(path)/cells/\(key).floors" }
    func illustration(_ key: String) -> String { "\(path)/cells/\(key).pictures.h5" }
    var paper: String { "\(path)/\(PaperFigures.file)" }
    private var settingPath: String { "\(path)/setting.txt" }

    /// The setting that the folder has; nil when there is none yet. Throws for a folder of something else.
    public func setting() throws -> Setting? {
        guard let status = Files.status(path) else {
            if errno == ENOENT { return nil }
            throw FileError(path: path, operation: "open", code: errno)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw FileError(path: path, operation: "use as a folder", code: ENOTDIR) }
        return try TextFile.read(settingPath).map { try Setting(parsing: $0, path: settingPath) }
    }

    /// Makes the folder where needed and writes the setting, joined with the one that is there.
    /// Throws `RunError.incompatible` naming what differs, and leaves the folder as it was.
    public func adopt(_ setting: Setting) throws -> Setting {
        let joined = try self.setting().map { try setting.joined(with: $0, at: path, replacesOwn: true) } ?? setting
        try make()
        try TextFile.write(joined.text, to: settingPath)
        return joined
    }

    /// Makes the folder, those above it, and that of the cells, where they do not exist. Throws `FileError`, `HDF5Error`.
    public func make() throws { try makeFolder("\(path)/cells") }

    private func makeFolder(_ folder: String) throws {
        var made = folder.hasPrefix("/") ? "" : "."
        for part in Files.parts(folder) {
            let above = made.isEmpty ? "/" : made
            made += "/\(part)"
            if Files.makeFolder(made) {
                try Replacement.syncFolder(above)
            } else if errno != EEXIST {
                throw FileError(path: path, operation: "make the folder", code: errno)
            }
        }
        guard let status = Files.status(folder), status.st_mode & S_IFMT == S_IFDIR else {
            throw FileError(path: folder, operation: "use as a folder", code: ENOTDIR)
        }
    }

    /// What the run file of a training holds; nil when there is none.
    func record(_ training: Training) throws -> CellRecord? {
        let path = cell(training.key)
        guard Files.exists(path) else { return nil }
        let record = try CellRecord(path)
        guard try record.configuration.trainingJSON() == training.configuration.trainingJSON() else {
            throw RunError.incompatible("\(path): holds another training than its name says; remove it, and it is computed again")
        }
        if let newer = training.configuration.revisions.newer(record.revisions) {
            throw RunError.incompatible("\(path): was written by a newer fedclamp (\(newer)); go on with that one, or use another --out")
        }
        return record
    }

    /// Why some of what the folder has of a training was computed with an older revision of the program; nil where nothing was.
    public func stale(_ training: Training) throws -> String? {
        guard let record = try record(training) else { return nil }
        return record.stale(training) ?? record.staleDefenses(training).first?.why
    }

    /// Whether nothing is left to do for a training.
    /// - Parameter keepsStale: what an older revision computed counts.
    public func isFinished(_ training: Training, keepsStale: Bool = false) throws -> Bool {
        guard let record = try record(training), record.finishedRounds == training.configuration.rounds else { return false }
        if !keepsStale, try stale(training) != nil { return false }
        let floors = try self.floors(of: training)
        if training.isIllustrated, !Files.exists(illustration(training.key)) { return false }
        return training.defenses.allSatisfy { record.defended[$0] != nil } && training.probes.allSatisfy { floors[$0.name] != nil }
    }

    /// What a report shows of a training; nil where it was not made.
    func illustration(of training: Training) throws -> Illustration? {
        let path = illustration(training.key)
        return Files.exists(path) ? try Illustration(path) : nil
    }

    /// Floors by the name of their probe.
    func floors(of training: Training) throws -> [String: Double] {
        let path = floors(training.key)
        return try TextFile.read(path).map { try Self.floors(parsing: $0, path: path) } ?? [:]
    }

    /// Lines "name = rate". Throws `RunError.incompatible` for others.
    static func floors(parsing lines: [TextLines.Line], path: String) throws -> [String: Double] {
        var floors: [String: Double] = [:]
        for line in lines where !line.text.trimmed.isEmpty {
            guard let (name, text) = line.assignment, let value = Double(text.trimmed), value.isNaN || (0...1).contains(value) else {
                throw RunError.incompatible(
                    "\(path):\(line.number): expected \"name = rate\" with a rate from 0 to 1, got \"\(line.text.prefix(100))\"")
            }
            floors[name] = value
        }
        return floors
    }

    /// Removes what was measured on a training's models, which were made anew.
    func removeMeasurements(of training: Training) throws {
        for path in [floors(training.key), illustration(training.key)] where Files.exists(path) {
            guard Files.unlink(path) else { throw FileError(path: path, operation: "remove", code: errno) }
        }
    }

    func write(floors: [String: Double], of training: Training) throws {
        let lines = floors.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)\n" }
        try TextFile.write(lines.joined(), to: self.floors(training.key))
    }
}
