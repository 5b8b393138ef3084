import Attacks
import Defenses
import Options
import OwnMethods

/// A user's own methods in a configuration.
extension RunConfiguration {
    /// Those that it names by their identities.
    public var ownMethods: [OwnMethod] {
        (self.defenses + [self.trigger] + [self[OwnUpdate.program]].compactMap { $0 }).compactMap { OwnMethod($0) }
    }

    /// Puts identities in the place of what the user typed: starts programs, finds pictures. Only for configurations that
    /// come from a command line.
    ///
    /// - Throws: `OwnMethodError`.
    public mutating func grantOwnMethods() throws {
        self.defenses = try self.defenses.flatMap { name in
            OwnMethod.isRequest(name) ? try OwnMethods.grant(name, as: AllDefenses.ownKinds).map(\.text) : [name]
        }
        if OwnMethod.isRequest(self.trigger) { self.trigger = try Self.grantTrigger(self.trigger) }
        if let name = self[OwnUpdate.program], OwnMethod.isRequest(name) {
            self[OwnUpdate.program] = try OwnMethods.grant(name, as: [.maliciousUpdate]).first?.text
        }
    }

    /// The defences of a run that is gone on with, and those that are given besides; of a user's own the version given.
    public static func joined(_ stored: [String], _ given: [String]) -> [String] {
        let labels = given.filter { !stored.contains($0) }.compactMap { OwnMethod($0)?.label }
        let kept = stored.filter { name in !(OwnMethod(name).map { labels.contains($0.label) } ?? false) }
        return kept + given.filter { !kept.contains($0) }
    }

    /// Throws `OwnMethodError.notGranted` for a program of one of these kinds that the command line did not name.
    func requireGranted(_ kinds: [OwnKind]) throws {
        for method in ownMethods where kinds.contains(method.kind) && method.isProgram { _ = try OwnMethods.program(method) }
    }

    /// For configurations from files, which name own methods by identities only. Throws `SettingError` for what asks for a
    /// program or a file by its path.
    func requireIdentities() throws {
        let names = self.defenses + [self.trigger] + [self[OwnUpdate.program]].compactMap { $0 }
        for name in names where OwnMethod.isRequest(name) {
            throw SettingError("own method", given: name, expected: "name@kind:digest")
        }
    }

    /// The identity of a trigger that a user typed; a built-in one's name stays.
    public static func grantTrigger(_ name: String) throws -> String {
        OwnMethod.isRequest(name) ? try OwnMethods.grant(name, as: [.trigger]).first?.text ?? name : name
    }
}
