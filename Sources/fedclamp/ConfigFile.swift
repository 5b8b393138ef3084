import ArgumentParser
import Glibc
import Options

/// `--config FILE`: lines "name = value" with the names of the options, "#" starts a comment. The lines become options
/// that stand before those of the command line, so that the latter win.
enum ConfigFile {
    /// `arguments` with the options of a `--config FILE` among them. Throws `Failure.input` naming file and line.
    static func expand(_ arguments: [String], _ command: any ParsableCommand.Type, required: [String]) throws -> [String] {
        guard let path = try path(arguments) else { return arguments }
        let given = Set(arguments.filter { $0.hasPrefix("--") }.map { String($0.dropFirst(2).prefix { $0 != "=" }) })
        let notInFiles: [String?] = ["config", "help", "version"]
        let known = try CommandDefinition.of(command).options.filter { !notInFiles.contains($0.long) }
        let names = known.compactMap(\.long)
        var added: [String] = [], count = 0
        for (number, line) in try lines(path).enumerated() {
            let text = trimmed(line.prefix { $0 != "#" })[...]
            guard !text.isEmpty else { continue }
            let place = "\(path):\(number + 1)"
            count += 1
            guard count <= mostOptions else { throw Failure.input("\(path): expected at most \(mostOptions) options, got more") }
            guard let equals = text.firstIndex(of: "="), !text.utf8.contains(0) else {
                throw Failure.input("\(place): expected \"name = value\", got \"\(text.prefix(100))\"")
            }
            let name = trimmed(text[..<equals]), value = trimmed(text[text.index(after: equals)...])
            guard let option = known.first(where: { $0.long == name }) else {
                throw Failure.input("\(place): unknown key \"\(name.prefix(100))\"\(suggestion(String(name.prefix(100)), names))")
            }
            let argument = try argument(name, takesValue: option.takesValue, value, place)
            try check(argument, command, required, place, String(text.prefix(100)))
            if !given.contains(name) { added += argument }
        }
        return added + arguments
    }

    /// Options in one file, and its bytes: each line is parsed by itself, which takes a while.
    private static let mostOptions = 500, mostBytes = 64 << 10

    /// The configuration file, where `message` is about an option that stands in it and not in `typed`.
    static func blamed(for message: String, _ typed: [String]) -> String? {
        guard let path = (try? path(typed)) ?? nil, !message.hasPrefix("Missing"), let start = message.firstRange(of: "--") else { return nil }
        let name = "--" + message[start.upperBound...].prefix { $0.isLetter || $0 == "-" }
        return typed.contains { $0 == name || $0.hasPrefix("\(name)=") } ? nil : path
    }

    private static func path(_ arguments: [String]) throws -> String? {
        guard let at = arguments.lastIndex(where: { $0 == "--config" || $0.hasPrefix("--config=") }) else { return nil }
        if arguments[at] != "--config" { return String(arguments[at].dropFirst(9)) }
        guard at + 1 < arguments.count else { throw Failure.usage("--config: expected the name of a file") }
        return arguments[at + 1]
    }

    private static func argument(_ name: String, takesValue: Bool, _ value: String,
                                 _ place: String) throws -> [String] {
        guard !takesValue else { return ["--\(name)=\(value)"] }
        guard value == "true" || value == "false" else {
            throw Failure.input("\(place): \(name): expected true or false, got \"\(value)\"")
        }
        return value == "true" ? ["--\(name)"] : []
    }

    /// Parses the line's option alone, so that an error carries its place.
    private static func check(_ argument: [String], _ command: any ParsableCommand.Type, _ required: [String], _ place: String, _ text: String) throws {
        do { _ = try command.parse(required + argument) } catch {
            throw Failure.input("\(place): \(text): \(command.message(for: error))")
        }
    }

    private static func trimmed(_ line: Substring) -> String {
        var text = line
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text.drop { $0.isWhitespace })
    }

    private static func lines(_ path: String) throws -> [Substring] {
        guard let file = fopen(path, "re") else { throw Failure.input("--config \(path): cannot open: \(String(cString: strerror(errno)))") }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: mostBytes)
        let count = fread(&bytes, 1, bytes.count, file)
        guard ferror(file) == 0 else { throw Failure.input("--config \(path): cannot read: \(String(cString: strerror(errno)))") }
        guard count < bytes.count else { throw Failure.input("--config \(path): expected a configuration of lines \"name = value\", got 64 KiB or more") }
        return String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
    }
}
