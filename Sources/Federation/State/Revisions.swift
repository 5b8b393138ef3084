import Attacks
import Bounds
import Defenses
import Detection
import Rules

/// The revisions of the parts that a result depends on. A part is what can change a figure: the training with its network, a rule, a
/// trigger,
/// what malicious clients do, what looks at FM data and models, a defence on the model. Run files carry the revisions that they were
/// computed
/// with, and `reproduce` computes again what depends on a part that has a higher one now.
///
/// Text form: "training 1; trigger patch 1; rule krum 2".
public struct Revisions: Equatable, Sendable {
    /// The list: parts that are not at revision 1 any more. Raise a number in the commit that changes results; `RevisionTests` fails for a
    /// part whose results moved alone. Names: "training", "detection", "trigger NAME", "malicious NAME" (an option), "rule NAME",
    /// that of a defence on the FM data ("vouching"), "distillation", "defence NAME".
    static let changed = ["vouching": 10]

    public private(set) var numbers: [String: Int] = [:]

    init(_ parts: [String]) {
        for part in parts { numbers[part] = Self.changed[part] ?? 1 }
    }

    public init?(text: String) {
        for entry in text.split(separator: ";") {
            let words = entry.split(separator: " ")
            guard words.count >= 2, let number = Int(words[words.count - 1]), number >= 0 else { return nil }
            numbers[words.dropLast().joined(separator: " ")] = number
        }
    }

    public var text: String { numbers.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: "; ") }

    /// Why something computed with `stored` is stale: "rule krum was revision 1, is 2". Nil where it is not. Files of before revisions have
    /// none: all parts were at 1 then.
    public func stale(_ stored: Revisions?) -> String? {
        for (part, number) in numbers.sorted(by: { $0.key < $1.key }) {
            let was = stored?.numbers[part] ?? 1
            if was != number { return "\(part) was revision \(was), is \(number)" }
        }
        return nil
    }

    /// A part of which `stored` has a higher revision than this program: "rule krum has revision 9, this program has 2". Nil where none.
    public func newer(_ stored: Revisions?) -> String? {
        for (part, number) in (stored?.numbers ?? [:]).sorted(by: { $0.key < $1.key }) {
            let mine = numbers[part] ?? Self.changed[part] ?? 1
            if number > mine { return "\(part) has revision \(number), this program has \(mine)" }
        }
        return nil
    }

    /// Of a defence on the model: those of the training aside.
    public static func ofDefense(_ label: String) -> Revisions {
        let name = String(label.prefix { $0 != ":" }), looks = [BoundFit.name, BoundedUnlearning.name, Unlearning.name].contains(name)
        return Revisions((looks ? ["detection"] : []) + ["defence \(name)"])
    }
}

extension RunConfiguration {
    /// The revisions that the training depends on, defences on the model aside.
    public var revisions: Revisions {
        var parts = ["training"]
        if let trigger = Triggers.kind(self.trigger) { parts.append("trigger \(trigger)") }  // a user's own is named by its digest
        if self.attack.poisonsClients {
            parts += MaliciousBehaviors.settings.filter { $0.name != OwnUpdate.program.name && !$0.isStandard(in: values) }.map {
                "malicious \($0.name)"
            }
        }
        if let name = dataDefense { parts.append(name) }
        if distils { parts.append(FederatedDistillation.name) }
        parts += AllDefenses.shapingTraining(self.defenses).filter { AggregationRules.names.contains($0) }.map { "rule \($0)" }
        return Revisions(parts)
    }
}
