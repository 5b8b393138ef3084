import Federation

/// The man page: one page with all commands.
struct ManualPage {
    private let program: CommandDefinition

    init(_ program: CommandDefinition) { self.program = program }

    /// Roff with the macros of man(7).
    var text: String {
        var lines = [
            ".TH FEDCLAMP 1 \"\" \"fedclamp \(programVersion)\"", ".SH NAME",
            "fedclamp \\- \(Self.escaped(program.abstract ?? ""))", ".SH SYNOPSIS", ".B fedclamp",
            ".I command", ".RI [ option ...]", ".SH DESCRIPTION",
        ]
        lines += Self.discussion(program)
        let commands = (program.subcommands ?? []).filter { $0.shouldDisplay && $0.commandName != "help" }
        for command in commands { lines += section(command, "fedclamp") }
        return lines.joined(separator: "\n")
    }

    /// A command, then those below it.
    private func section(_ command: CommandDefinition, _ parent: String) -> [String] {
        let name = "\(parent) \(command.commandName)"
        let below = (command.subcommands ?? []).filter { $0.commandName != "help" }
        let shown = command.shown.filter { $0.shouldDisplay && !["help", "version"].contains($0.long) }
        var lines = [".SH \"\(name.uppercased())\"", Self.escaped(command.abstract ?? "")] + Self.discussion(command)
        var title: String?
        for argument in shown {
            if argument.sectionTitle != title {
                lines.append(".SS \"\(Self.escaped(argument.sectionTitle ?? "other options"))\"")
                title = argument.sectionTitle
            }
            lines += [".TP", Self.synopsis(argument, hasOpposite: command.hasOpposite(argument)), Self.escaped(argument.abstract ?? "")]
        }
        return lines + below.flatMap { section($0, name) }
    }

    private static func synopsis(_ argument: CommandDefinition.Argument, hasOpposite: Bool) -> String {
        let value = escaped(argument.valueName ?? "value"), dots = argument.isRepeating ? " ..." : ""
        guard let name = argument.long else { return "\\fI\(value)\\fR\(dots)" }
        let opposite = hasOpposite ? ", \\fB\(escaped("--" + CommandDefinition.opposite(name)))\\fR" : ""
        return "\\fB\(escaped("--" + name))\\fR" + opposite + (argument.takesValue ? " \\fI\(value)\\fR\(dots)" : "")
    }

    /// Paragraphs; lines that are indented are examples and stay as they are.
    private static func discussion(_ command: CommandDefinition) -> [String] {
        var lines: [String] = [".PP"], isExample = false
        for line in (command.discussion ?? "").split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("  ") != isExample, !line.isEmpty {
                isExample.toggle()
                lines.append(isExample ? ".nf" : ".fi")
            }
            lines.append(line.isEmpty ? ".PP" : escaped(String(line)))
        }
        return lines + (isExample ? [".fi"] : [])
    }

    /// Text that roff takes as it is: no escapes, no requests, dashes that can be copied.
    private static func escaped(_ text: String) -> String {
        let plain = text.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\e")
            .split(separator: "-", omittingEmptySubsequences: false).joined(separator: "\\-")
        return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
    }
}
