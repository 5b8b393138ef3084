/// What a user's own method is for.
public enum OwnKind: String, CaseIterable, Sendable {
    /// Before aggregation.
    case rule
    /// On the finished model.
    case modelDefense = "model-defense"
    /// What a malicious client makes of its trained model before it sends it.
    case maliciousUpdate = "malicious-update"
    /// A program that stamps images, or a file with a picture.
    case trigger

    /// The option that names one.
    public var option: String {
        switch self {
        case .rule, .modelDefense: "defense"
        case .maliciousUpdate, .trigger: rawValue
        }
    }
}

/// The identity of a user's own method: what it is called, what it is for, and the first 16 hexadecimal digits of the
/// SHA-256 of its content. It stands in configurations, and so in run files and in the keys of trainings: results of a
/// program that was changed are never taken for those of the present one. It says nothing of where the program lies, so
/// that no file that is read can have one started: `OwnMethods` knows those that the command line named.
///
///     exec:mine@rule:0123456789abcdef          program mine.py
///     exec:mine:0.2@rule:0123456789abcdef      the same with the argument 0.2
///     badge.png@trigger:0123456789abcdef       a picture
public struct OwnMethod: Hashable, Sendable {
    /// "exec:mine": for people, for rows of tables and for names in files.
    public let label: String
    public let kind: OwnKind
    public let digest: String

    static let digits = 16, longestLabel = 80

    init(label: String, kind: OwnKind, digest: String) {
        (self.label, self.kind, self.digest) = (label, kind, String(digest.prefix(Self.digits)))
    }

    /// From an identity; nil for any other text.
    public init?(_ text: String) {
        guard let at = text.lastIndex(of: "@") else { return nil }
        let parts = text[text.index(after: at)...].split(separator: ":", omittingEmptySubsequences: false)
        let label = String(text[..<at])
        guard parts.count == 2, let kind = OwnKind(rawValue: String(parts[0])), Self.isDigest(parts[1]),
            Self.isLabel(label)
        else { return nil }
        self.init(label: label, kind: kind, digest: String(parts[1]))
    }

    public var text: String { "\(label)@\(kind.rawValue):\(digest)" }
    public var isProgram: Bool { label.hasPrefix(Self.scheme) }

    /// What a program's name begins with on the command line.
    public static let scheme = "exec:"

    /// How own methods of these kinds are named, for errors and help.
    public static func expected(_ kinds: [OwnKind]) -> String {
        kinds.contains(.trigger) ? "exec:PROGRAM, a .png, or a .h5 with mask and pattern" : "exec:PROGRAM"
    }

    /// Whether a text may stand for a method of these kinds: an identity, or what a user types.
    public static func isName(_ text: String, of kinds: [OwnKind]) -> Bool {
        if let method = OwnMethod(text) { return kinds.contains(method.kind) }
        return isRequest(text) && (text.hasPrefix(scheme) || kinds.contains(.trigger))
    }

    /// Whether a text is what a user types for a program or a picture: exec:PROGRAM[:ARGUMENT...], or a file.
    public static func isRequest(_ text: String) -> Bool {
        let isProgram = text.hasPrefix(scheme) && text.count > scheme.count
        return OwnMethod(text) == nil && (isProgram || pictures.contains { text.lowercased().hasSuffix($0) })
    }

    static let pictures = [".png", ".h5", ".hdf5"]

    /// Whether a text is the name of an own defence in a file: "exec:mine".
    public static func isDefenseLabel(_ text: String) -> Bool { text.hasPrefix(scheme) && isLabel(text) }

    static func isLabel(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= longestLabel
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || "._-:".utf8.contains(byte)
            }
    }

    private static func isDigest(_ text: Substring) -> Bool {
        text.utf8.count == digits && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    /// A text for people: of identities in it only the labels.
    public static func shown(_ text: String) -> String {
        guard text.contains("@") else { return text }
        var result = "", rest = text[...]
        while let at = rest.firstIndex(of: "@") {
            result += rest[..<at]
            rest = rest[at...]
            let kind = OwnKind.allCases.first { rest.dropFirst().hasPrefix("\($0.rawValue):") }
            if let kind, isDigest(rest.dropFirst(kind.rawValue.count + 2).prefix(digits)) {
                rest = rest.dropFirst(kind.rawValue.count + 2 + digits)
            } else {
                result.append("@")
                rest = rest.dropFirst()
            }
        }
        return result + rest
    }
}
