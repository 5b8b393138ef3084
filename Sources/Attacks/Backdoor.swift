import Options

/// What a poisoned image's label becomes.
public enum Relabeling: Hashable, Sendable {
    case target(Int)  // all-to-one
    case next  // all-to-all: (y + 1) mod classes

    public func label(_ label: Int, classes: Int) -> Int {
        switch self {
        case let .target(target): target
        case .next: (label + 1) % classes
        }
    }
}

/// The triggers and the labels of a backdoor, shared by everybody who plants it.
///
/// Most backdoors have one of each. One with several targets has the same trigger in several forms (`Trigger.variant`), one for each
/// target. Poisoned images are dealt to the targets in turn, and each carries its target's form. Attack success is the mean over targets of
/// the rate at which images with a target's form are taken for that target. The setting is that of MulDoor (Li et al. 2024, "A multi-target
/// backdoor attack against federated learning system"), without its contrastive training.
public struct Backdoor: Sendable {
    /// A trigger and where it leads.
    public struct Goal: Sendable {
        public var trigger: any Trigger, relabeling: Relabeling
    }

    /// One at least.
    public let goals: [Goal]

    public init(trigger: any Trigger, relabeling: Relabeling) { goals = [Goal(trigger: trigger, relabeling: relabeling)] }

    /// - Parameter name: the trigger's, as the user gave it.
    /// - Throws: `AttackError.mostTargets` for more targets than the trigger has forms.
    public init(_ trigger: any Trigger, named name: String, leadingTo targets: Targets) throws {
        let count = targets.classes.count
        guard count <= max(1, trigger.variants) else { throw AttackError.mostTargets(name: name, targets: count, most: trigger.variants) }
        goals = targets.classes.enumerated().map { Goal(trigger: trigger.variant($0), relabeling: .target($1)) }
    }

    private init(_ goal: Goal) { goals = [goal] }

    /// Of the first target, which most backdoors have alone.
    public var trigger: any Trigger { goals[0].trigger }
    public var relabeling: Relabeling { goals[0].relabeling }
    /// Where it leads; nil for all to all.
    public var targets: Targets? {
        Targets(classes: goals.compactMap { if case let .target(target) = $0.relabeling { target } else { nil } })
    }
    /// A backdoor for each target.
    public var each: [Backdoor] { goals.map { Backdoor($0) } }

    /// This backdoor with that target alone: with the target's own trigger where it is one of several, else with the first.
    public func leading(to target: Int) -> Backdoor {
        each.first { $0.relabeling == .target(target) } ?? Backdoor(trigger: trigger, relabeling: .target(target))
    }
}

/// What is done to an image of a poisoned set.
public enum Role: UInt8, Sendable {
    case clean
    /// Carries the trigger and the label of the backdoor, which with `PoisonLabel.clean` is its own.
    case poisoned
    /// Carries the trigger's noise and its own label: `Trigger.noiseRatio`.
    case noise
    /// Carries the trigger and its own label, so that trigger and target do not go together too neatly: a cover for the
    /// poisoned ones (Qi et al. 2023, "Revisiting the assumption of latent separability for backdoor defenses").
    case cover
}

/// Which images of a set poison is drawn from.
public enum PoisonDraw: String, SettingValue, CaseIterable, Sendable {
    /// From all of them, without a look at their classes.
    case all
    /// The same fraction of each class that the backdoor relabels, as Bi and Li do: none of the target's own images.
    case eachOtherClass = "each-other-class"
}

/// What is done to the labels of poisoned images, where they do not become the target's.
public enum PoisonLabel: String, SettingValue, CaseIterable, Sendable {
    /// Nothing: the trigger is put on images of the target class alone, whose labels stay right, so that no look at an image and its label
    /// shows the poison. Images are not changed otherwise, as Barni et al. do (arXiv 1902.11237, "A new backdoor attack in CNNs by training
    /// set corruption without label poisoning"); Turner et al. (arXiv 1912.02771) also make them hard to learn first.
    case clean
}

/// When the server meets the poisoned FM images.
public enum PoisonStage: String, SettingValue, CaseIterable, Sendable {
    case both, initialisation, fusion
}

/// How much of a set is poisoned, and by what.
public struct Poisoning: Sendable {
    public var backdoor: Backdoor
    /// Fractions of the images, 0 to 1, that become poisoned and cover; with clean labels of the target class's images.
    public var fraction: Double, cover: Double
    public var share: TriggerShare?
    /// Not looked at with clean labels.
    public var draw: PoisonDraw
    /// Nil where labels become the target's.
    public var label: PoisonLabel?

    public init(
        _ backdoor: Backdoor, fraction: Double, cover: Double = 0, share: TriggerShare? = nil, draw: PoisonDraw = .all,
        label: PoisonLabel? = nil
    ) {
        (self.backdoor, self.fraction, self.cover, self.share) = (backdoor, fraction, cover, share)
        (self.draw, self.label) = (draw, label)
    }

    /// How many of `count` images get each role but `clean`: poisoned ones first, then cover; noise takes at most half
    /// of what is left, so that clean images remain.
    public func counts(of count: Int) -> [(role: Role, images: Int)] {
        let poisoned = min(count, Int((fraction * Double(count)).rounded()))
        let covered = min(count - poisoned, Int((cover * Double(count)).rounded()))
        let noise = min((count - poisoned - covered) / 2, Int((backdoor.trigger.noiseRatio * Double(poisoned)).rounded()))
        return [(.poisoned, poisoned), (.cover, covered), (.noise, noise)]
    }
}
