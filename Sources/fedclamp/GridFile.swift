import Experiments
import Federation
import Options

/// The file of a sweep, read as `--config` files are: options of `run` with one value or several, and what the command itself can be told.
struct GridFile {
    private(set) var grid = Grid()
    /// The command's own options, which its command line replaces.
    private(set) var data: String?, synthetic: String?, evaluateOn: EvaluationSplit?, seeds: Int?, firstSeed: UInt64?

    private static let own = ["data", "synthetic", "evaluate-on", "seeds", "first-seed"]

    /// Throws `Failure.input` naming file and line.
    init(_ path: String) throws {
        let names = RunConfiguration.settings.names + Self.own
        var seen: Set<String> = []
        for entry in try ConfigFile.entries(path) {
            do {
                let name = String(entry.name.prefix(100))
                guard names.contains(entry.name) else { throw Failure.input("unknown key \"\(name)\"\(suggestion(name, names))") }
                guard Self.own.contains(entry.name) else {
                    try grid.add(entry.name, entry.value)
                    continue
                }
                guard seen.insert(entry.name).inserted else {
                    throw SettingError(entry.name, given: entry.value, expected: "each option once")
                }
                guard !entry.value.isEmpty, !entry.value.contains("|") else {
                    throw SettingError(entry.name, given: entry.value, expected: "one value, which all cells have")
                }
                try take(entry.name, entry.value)
            } catch let error as SettingError {
                throw Failure.input("\(entry.place): \(error.inFile)")
            } catch {
                throw Failure.input("\(entry.place): \(error)")
            }
        }
        guard !grid.isEmpty || seeds != nil else {
            throw Failure.input("\(path): expected options of run, as in \"lr = 0.01 | 0.02\", got none")
        }
    }

    private mutating func take(_ name: String, _ value: String) throws {
        switch name {
        case "data": data = value
        case "synthetic": synthetic = value
        case "evaluate-on": evaluateOn = try RunConfiguration.declarations.evaluateOn.value(value)
        case "seeds":
            seeds = Int(value)
            guard let seeds, TableOptions.seedLimits.contains(seeds) else {
                throw SettingError(name, given: value, expected: TableOptions.expectedSeeds)
            }
        default:
            guard let number = UInt64(value) else { throw SettingError(name, given: value, expected: UInt64.expected) }
            firstSeed = number
        }
    }
}
