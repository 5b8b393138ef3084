import ArgumentParser
import Attacks
import Datasets
import Experiments
import Federation
import Glibc
import HDF5
import Options

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
        case Failure.usage, is SettingError, AttackError.unknownTrigger: 64
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
