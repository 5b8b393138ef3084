import ArgumentParser
import CPlatform
import Federation
import Glibc
import HDF5
import Options

@main
struct FedClamp: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fedclamp",
        abstract: "Study backdoors in federated learning with a foundation model, and the activation bounds that remove them.",
        discussion: Help.folded(
            """
            A first session, with Debian's package dataset-fashion-mnist:

              fedclamp import fashion-mnist --from /usr/share/datasets/fashion-mnist --out data/fashion-mnist.h5
              fedclamp run --data data/fashion-mnist.h5 --synthetic holdout:2000 --attack fm --defense bounds --out run.h5
              fedclamp evaluate run.h5 --data data/fashion-mnist.h5
              fedclamp reproduce main --scale smoke --out results/smoke

            ACC is the share of clean images classified right, ASR (attack success rate) the share of triggered images \
            of other classes that are classified as the target. Results go to stdout, progress and errors to stderr. \
            Exit codes: 0 done, 1 a check did not hold, 2 bad input or I/O, 64 usage, 128 + n on signal n.
            """),
        version: programVersion,
        subcommands: [
            Import.self, Run.self, Reproduce.self, Sweep.self, Merge.self, Compare.self, Bound.self, Evaluate.self, Inspect.self,
            Watch.self, SelfTest.self, Bench.self, Step.self, Manual.self,
        ])

    static func main() { with_enough_stack { FedClamp.work() } }

    /// Parses, runs, and ends the process with the exit code of what happened.
    private static func work() {
        Signals.install()
        let typed = (1..<max(1, Int(argument_count()))).compactMap { argument(Int32($0)).map { Files.path($0) } }
        do {
            try requireHyphens(typed)
            try requireCommand(typed.first == "help" ? Array(typed.dropFirst()) : typed)
            var command = try parseAsRoot(try withConfigFile(ParserText.joined(typed)))
            try command.run()
        } catch {
            end(error, command: name(of: typed), typed)
        }
        OutputLock.releaseAll()
    }

    /// The command that arguments name, with those that lead to it; this one for none.
    private static func path(of arguments: [String]) -> [any ParsableCommand.Type] {
        var path: [any ParsableCommand.Type] = [FedClamp.self]
        for argument in arguments {
            let next = path[path.count - 1].configuration.subcommands.first { $0.configuration.commandName == argument }
            guard let next else { break }
            path.append(next)
        }
        return path
    }

    /// The command's name as typed, after the program's.
    private static func name(of arguments: [String]) -> String {
        path(of: arguments).map { $0.configuration.commandName ?? "" }.joined(separator: " ")
    }

    /// Throws `Failure.usage` for a word where a command is expected.
    private static func requireCommand(_ arguments: [String]) throws {
        let path = path(of: arguments), names = path[path.count - 1].configuration.subcommands.compactMap { $0.configuration.commandName }
        guard path.count <= arguments.count, !names.isEmpty else { return }
        let word = arguments[path.count - 1]
        guard !word.hasPrefix("-") else { return }
        _ = try choose(word, "command", from: (names + ["help"]).map { ($0, ()) })
    }

    /// Throws `Failure.usage` for an option whose hyphens became dashes, as word processors and PDF files have them.
    private static func requireHyphens(_ arguments: [String]) throws {
        let dashes: [Character] = ["\u{2010}", "\u{2011}", "\u{2012}", "\u{2013}", "\u{2014}", "\u{2212}"]
        for argument in arguments {
            let start = argument.prefix { $0 == "-" || dashes.contains($0) }, name = argument.dropFirst(start.count)
            guard start.contains(where: dashes.contains), name.first?.isLetter == true, !exists(argument) else { continue }
            throw Failure.usage("\(argument.prefix(100)): expected an option with hyphens, --\(name.prefix(100)), got another kind of dash")
        }
    }

    private static func withConfigFile(_ arguments: [String]) throws -> [String] {
        let path = path(of: arguments), depth = path.count - 1
        guard let configurable = path[depth] as? any Configurable.Type else { return arguments }
        return arguments.prefix(depth)
            + (try ConfigFile.expand(Array(arguments.dropFirst(depth)), configurable, required: configurable.required))
    }

    private static func end(_ error: any Error, command: String, _ typed: [String]) -> Never {
        OutputLock.releaseAll()
        if exitCode(for: error) == .success {  // help and version come as errors too
            output(fullMessage(for: error))
            Glibc.exit(0)
        }
        let isParser = !(error is Failure) && exitCode(for: error) == .validationFailure
        let text = isParser ? ParserText.said(withSuggestion(message(for: error), command)) : "\(error)"
        let code = isParser ? 64 : Failure.code(error)
        let config = code == 64 ? ConfigFile.blamed(for: text, typed) : nil
        let hint = code == 64 && config == nil ? " (see: \(command) --help)" : ""
        note("\(command): \(config.map { "\($0): " } ?? "")\(HDF5Error.oneLine(text))\(hint)")
        // Not exit: HDF5's clean-up would write once more to a file that could not be written, and die of it.
        _exit(config == nil ? code : 2)
    }

    /// The parser suggests an option only where it is very near.
    private static func withSuggestion(_ message: String, _ command: String) -> String {
        let parts = message.split(separator: "'")
        guard message.hasPrefix("Unknown option '--"), parts.count == 2 else { return message }
        let type = path(of: command.split(separator: " ").dropFirst().map(String.init)).last ?? FedClamp.self
        guard let names = try? CommandDefinition.optionNames(type).map({ "--\($0)" }) else { return message }
        return message + suggestion(String(parts[1]), names)
    }
}

/// `fedclamp manual`: the man page, made from the same definitions as help and completions.
struct Manual: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual", abstract: "Print the man page, as roff.", shouldDisplay: false)

    func run() throws { output(ManualPage(try CommandDefinition.of(FedClamp.self)).text) }
}
