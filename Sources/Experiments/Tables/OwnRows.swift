import Attacks
import Federation
import OwnMethods

/// A user's own methods in the tables: each has a row, or one for each thing that the table varies, beside the others.
public struct OwnRows: Sendable {
    /// Identities.
    let defenses: [String], triggers: [String], updates: [String]

    init(_ methods: [OwnMethod] = []) {
        func names(_ kinds: [OwnKind]) -> [String] { methods.filter { kinds.contains($0.kind) }.map(\.text) }
        (defenses, triggers, updates) = (names([.rule, .modelDefense]), names([.trigger]), names([.maliciousUpdate]))
    }

    /// The classic attack with each own malicious update.
    func attacks(_ prefix: String) -> [(attack: Attack, variant: ConfigurationChange)] {
        updates.map { update in (.classic, ConfigurationChange("\(prefix), \(update)") { $0[OwnUpdate.program] = update }) }
    }
}
