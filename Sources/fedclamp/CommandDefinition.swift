import ArgumentParser
import FoundationEssentials

/// A command as the parser itself defines it, with all below it: names, options, help. Its source is the parser's
/// description in JSON, which `--experimental-dump-help` prints.
struct CommandDefinition: Decodable {
    struct Name: Decodable { var kind: String, name: String }

    struct Argument: Decodable {
        /// option, flag or positional.
        var kind: String
        var names: [Name]?
        var valueName: String?
        var abstract: String?
        var sectionTitle: String?
        var isRepeating: Bool, shouldDisplay: Bool

        var takesValue: Bool { kind == "option" }
        /// The long name without dashes.
        var long: String? { names?.first { $0.kind == "long" }?.name }
    }

    var commandName: String
    var abstract: String?
    var discussion: String?
    var shouldDisplay: Bool
    var arguments: [Argument]?
    var subcommands: [CommandDefinition]?

    private struct Tool: Decodable { var command: CommandDefinition }

    /// Throws `DecodingError` where the parser's description has another form.
    static func of(_ command: any ParsableCommand.Type) throws -> CommandDefinition {
        try JSONDecoder().decode(Tool.self, from: Data(command._dumpHelp().utf8)).command
    }

    /// Those with a long name, flags among them; a flag and its opposite are one.
    var options: [Argument] { shown.filter { $0.long != nil } }

    /// All arguments but the opposites of flags: --no-resume goes without saying beside --resume.
    var shown: [Argument] { (arguments ?? []).filter { !isOpposite($0) } }

    /// Whether a flag has an opposite, --no-NAME.
    func hasOpposite(_ argument: Argument) -> Bool {
        guard argument.kind == "flag", let name = argument.long else { return false }
        return (arguments ?? []).contains { $0.kind == "flag" && $0.long == Self.opposite(name) }
    }

    private func isOpposite(_ argument: Argument) -> Bool {
        argument.kind == "flag" && (arguments ?? []).contains { $0.kind == "flag" && $0.long.map(Self.opposite) == argument.long }
    }

    /// The name of the flag that takes `flag` back.
    static func opposite(_ flag: String) -> String { "no-\(flag)" }

    /// The long names of a command's options.
    static func optionNames(_ command: any ParsableCommand.Type) throws -> [String] {
        try of(command).options.compactMap(\.long)
    }
}
