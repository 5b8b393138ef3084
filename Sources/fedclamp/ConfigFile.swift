import ArgumentParser
import HDF5
import Options

/// `--config FILE`: lines "name = value" with the names of the options; "#" starts a comment at the beginning of a line or
/// after white space. The lines become options that stand before those of the command line, so that the latter win.
enum ConfigFile {
    /// `arguments` with the options of a `--config FILE` among them. Throws `Failure.input` naming file and line.
    static func expand(_ arguments: [String], _ command: any ParsableCommand.Type, required: [String]) throws -> [String] {
        guard let path = try path(arguments) else { return arguments }
        let given = Set(arguments.filter { $0.hasPrefix("--") }.map { String($0.dropFirst(2).prefix { $0 != "=" }) })
        let notInFiles: [String?] = ["config", "help", "version"]
        let known = try CommandDefinition.of(command).options.filter { !notInFiles.contains($0.long) }
        let names = known.compactMap(\.long)
        var added: [String] = [], seen: Set<String> = []
        for entry in try entries(path, "--config ") {
            guard let option = known.first(where: { $0.long == entry.name }) else {
                let flag = known.first { $0.long.map(CommandDefinition.opposite) == entry.name }?.long.map { "; here it is \($0) = false" }
                throw Failure.input(
                    "\(entry.place): unknown key \"\(entry.name.prefix(100))\"\(flag ?? suggestion(String(entry.name.prefix(100)), names))")
            }
            guard option.isRepeating || seen.insert(entry.name).inserted else {
                throw Failure.input("\(entry.place): \(entry.name): expected each option once, and it stands further up already")
            }
            let argument = try argument(entry.name, takesValue: option.takesValue, entry.value, entry.place)
            try check(argument, of: entry, command, required)
            if !given.contains(entry.name), !given.contains(CommandDefinition.opposite(entry.name)) { added += argument }
        }
        return added + arguments
    }

    /// A line "name = value".
    struct Entry {
        /// FILE:LINE, for errors.
        var place: String
        var name: String, value: String
        /// The line without comment.
        var text: String
    }

    /// The lines of a file of options. Throws `Failure.input` naming file and line.
    /// - Parameter option: for errors about the file itself, what it was named with.
    static func entries(_ path: String, _ option: String = "") throws -> [Entry] {
        var entries: [Entry] = []
        for line in try lines(path, option) {
            let text = line.uncommented.trimmed
            guard !text.isEmpty else { continue }
            let place = "\(path):\(line.number)"
            guard entries.count < mostOptions else { throw Failure.input("\(path): expected at most \(mostOptions) options, got more") }
            guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) else {
                throw Failure.input("\(place): expected \"name = value\", got \"\(text.prefix(100))\"")
            }
            let name = String(text[..<equals]).trimmed, value = String(text[text.utf8.index(after: equals)...]).trimmed.unquoted
            entries.append(Entry(place: place, name: name, value: value, text: text))
        }
        return entries
    }

    /// Options in one file, and its bytes: each line is parsed by itself, which takes a while.
    private static let mostOptions = 500, mostBytes = 64 << 10

    /// The configuration file, where `message` is about an option that stands in it and not in `typed`.
    static func blamed(for message: String, _ typed: [String]) -> String? {
        guard let path = (try? path(typed)) ?? nil, !message.hasPrefix("Missing"), let start = message.firstRange(of: "--") else {
            return nil
        }
        let name = "--" + message[start.upperBound...].prefix { $0.isLetter || $0 == "-" }
        return typed.contains { $0 == name || $0.hasPrefix("\(name)=") } ? nil : path
    }

    private static func path(_ arguments: [String]) throws -> String? {
        let places = arguments.indices.filter { arguments[$0] == "--config" || arguments[$0].hasPrefix("--config=") }
        guard let at = places.last else { return nil }
        guard places.count == 1 else { throw Failure.usage("--config: expected once, got \(places.count) times") }
        if arguments[at] != "--config" { return String(arguments[at].dropFirst(9)) }
        guard at + 1 < arguments.count else { throw Failure.usage("--config: expected the name of a file") }
        return arguments[at + 1]
    }

    private static func argument(
        _ name: String, takesValue: Bool, _ value: String,
        _ place: String
    ) throws -> [String] {
        guard !takesValue else { return ["--\(name)=\(value)"] }
        guard value == "true" || value == "false" else {
            throw Failure.input("\(place): \(name): expected true or false, got \"\(value)\"")
        }
        return ["--\(value == "true" ? name : CommandDefinition.opposite(name))"]
    }

    /// Parses the line's option alone, so that an error carries its place.
    private static func check(_ argument: [String], of entry: Entry, _ command: any ParsableCommand.Type, _ required: [String]) throws {
        do { _ = try command.parse(required + argument) } catch {
            throw Failure.input("\(entry.place): \(entry.text.prefix(100)): \(ParserText.said(command.message(for: error)))")
        }
    }

    /// A pipe will do, too.
    private static func lines(_ path: String, _ option: String) throws -> [TextLines.Line] {
        do { return try TextLines.read(path, limit: mostBytes, regular: false).lines } catch { throw Failure.input("\(option)\(error)") }
    }
}
