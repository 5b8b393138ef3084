import ArgumentParser
import Attacks
import Datasets
import Experiments
import Federation
import Glibc
import HDF5

/// Why a command ends early, as what it is worth to a script: the exit code.
enum Failure: Error, CustomStringConvertible {
    /// The command line is wrong, whatever the files hold: 64.
    case usage(String)
    /// A file, the machine or the data do not allow it: 2.
    case input(String)
    /// A check did not hold: 1. Results were printed.
    case check(String)

    var description: String {
        switch self {
        case let .usage(text), let .input(text), let .check(text): text
        }
    }

    /// The exit code of any error of the program.
    static func code(_ error: any Error) -> Int32 {
        switch error {
        case Failure.usage, RunError.invalid, AttackError.unknownTrigger: 64
        case Failure.check: 1
        case let RunError.interrupted(signal): 128 + signal
        default: 2
        }
    }
}

/// What a command line names, by name. Throws `Failure.usage` with the nearest name for others.
func choose<T>(_ given: String, _ kind: String, from choices: [(name: String, value: T)]) throws -> T {
    if let choice = choices.first(where: { $0.name == given }) { return choice.value }
    let names = choices.map(\.name)
    throw Failure.usage("there is no \(kind) \"\(given)\"\(suggestion(given, names)); expected one of: \(names.joined(separator: ", "))")
}

/// "; did you mean ...?" where a name is near, else nothing.
func suggestion(_ given: String, _ names: [String]) -> String {
    let near = names.map { (distance(given.lowercased(), $0), $0) }.min { $0.0 < $1.0 }
    guard let (edits, name) = near, edits <= max(2, name.count / 3) || name.hasPrefix(given) && given.count > 1 else { return "" }
    return "; did you mean \"\(name)\"?"
}

/// Levenshtein's distance: insertions, deletions and replacements from `a` to `b`.
func distance(_ a: String, _ b: String) -> Int {
    let b = Array(b)
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for j in b.indices {
            (diagonal, row[j + 1]) = (row[j + 1], min(row[j + 1] + 1, row[j] + 1, diagonal + (x == b[j] ? 0 : 1)))
        }
    }
    return row[b.count]
}
