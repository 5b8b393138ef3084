import ArgumentParser
import Federation
import Network
import Options

/// A section of the options of a run, as a type: the parser takes option groups by type.
protocol SectionOfOptions { static var section: Section { get } }

/// The options of one section, made from their declarations: the parser finds its arguments by reflection, so that the
/// mirror is all that help, completions and man page need.
struct SettingOptions<Owner: SectionOfOptions>: ParsableArguments, CustomReflectable {
    /// Names and texts as given.
    private var given: [(name: String, texts: [String])] = []

    init() {}

    init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: Key.self)
        for setting in Self.settings {
            let texts = try setting.texts(in: values)
            if !texts.isEmpty { given.append((setting.name, texts)) }
        }
    }

    static var settings: [any AnySetting] { RunConfiguration.settings.all.filter { $0.section == Owner.section } }

    var customMirror: Mirror {
        Mirror(self, children: Self.settings.map { (label: "_" + $0.name, value: $0.argument) })
    }

    /// Throws `ValidationError`, which the parser reports as it does its own.
    func validate() throws {
        var configuration = RunConfiguration()
        do { try apply(to: &configuration) } catch { throw ValidationError("\(error)") }
    }

    /// Throws `SettingError`.
    func apply(to configuration: inout RunConfiguration) throws {
        for (name, texts) in given { try configuration.set(name, texts) }
    }
}

private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension AnySetting {
    /// The parser's argument. A value may begin with "-", so that a number below zero is refused for what it is.
    fileprivate var argument: Any {
        let label = NameSpecification.customLong(name)
        let text = ArgumentHelp(help, valueName: valueName.isEmpty ? nil : valueName)
        let completion = choices.isEmpty ? CompletionKind.default : offered(choices)
        return switch form {
        case .flag: Flag<Bool?>(name: label, inversion: .prefixedNo, help: text)
        case .single: Option<String?>(name: label, parsing: .unconditional, help: text, completion: completion)
        case .list:
            Option<[String]>(
                wrappedValue: [], name: label, parsing: .unconditionalSingleValue, help: text,
                completion: completion)
        }
    }

    /// What was given; nothing where the default holds.
    fileprivate func texts(in values: KeyedDecodingContainer<Key>) throws -> [String] {
        let key = Key(stringValue: name)
        return switch form {
        case .flag: try values.decode(Flag<Bool?>.self, forKey: key).wrappedValue.map { ["\($0)"] } ?? []
        case .single: try values.decode(Option<String?>.self, forKey: key).wrappedValue.map { [$0] } ?? []
        case .list: try values.decode(Option<[String]>.self, forKey: key).wrappedValue
        }
    }
}

/// Choices for completion. One that stands for many, "square:N", can not be taken as it is and is left out.
func offered(_ choices: [String]) -> CompletionKind { .list(choices.filter { !$0.hasSuffix(":N") }) }

/// What a setting makes of a text, for an option that a command declares itself. Throws `Failure.usage`.
func parsed<Value>(_ text: String, as setting: Setting<Value>) throws -> Value {
    do {
        return try setting.value(text)
    } catch let error as SettingError {
        throw Failure.usage("expected \(error.expected)")
    }
}

/// Of commands that take one model of a file.
let headHelp = "Which model of a file whose clients have several shapes: none, or PAIRSxWIDTH as in 2x192. (default: the file's first)"

/// What `--head` stands for.
func parsedHead(_ text: String) throws -> Head {
    do throws(HeadError) { return try Head(text) } catch { throw ValidationError("--head \(text): \(error)") }
}
