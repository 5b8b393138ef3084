import Attacks
import Federation
import OwnMethods

/// A user's own methods in the tables: each has a row, or one for each thing that the table varies, beside the others; where the columns
/// are attacks, own triggers and malicious updates have columns.
public struct OwnRows: Sendable {
    /// Identities.
    let defenses: [String], triggers: [String], updates: [String]

    init(_ methods: [OwnMethod] = []) {
        func names(_ kinds: [OwnKind]) -> [String] { methods.filter { kinds.contains($0.kind) }.map(\.text) }
        (defenses, triggers, updates) = (names([.rule, .modelDefense]), names([.trigger]), names([.maliciousUpdate]))
    }

    /// Those of these attacks that stamp images with each own trigger, and those of clients with each own malicious update.
    func columns(beside attacks: [Attack]) -> [(attack: Attack, variant: ConfigurationChange)] {
        let stamping = attacks.filter { $0 != .none }, ofClients = attacks.filter { $0 == .classic || $0 == .both }
        return triggers.flatMap { trigger in
            stamping.map { attack in (attack, ConfigurationChange("\(attack.column), \(trigger)") { $0.trigger = trigger }) }
        }
            + updates.flatMap { update in
                ofClients.map { attack in (attack, ConfigurationChange("\(attack.column), \(update)") { $0[OwnUpdate.program] = update }) }
            }
    }

    /// The classic attack with each own malicious update.
    func attacks(_ prefix: String) -> [(attack: Attack, variant: ConfigurationChange)] {
        updates.map { update in (.classic, ConfigurationChange("\(prefix), \(update)") { $0[OwnUpdate.program] = update }) }
    }
}
