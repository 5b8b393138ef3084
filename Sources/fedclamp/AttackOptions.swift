import ArgumentParser
import Attacks
import Federation

/// Who attacks, with what, and how malicious clients behave.
struct AttackOptions: ParsableArguments {
    private static let defaults = RunConfiguration()

    @Option(help: ArgumentHelp("Who attacks: none, classic (clients), fm (the FM data) or both.", valueName: "name"),
            transform: { try choose($0, "attack", from: Attack.allCases.map { ($0.rawValue, $0) }) })
    var attack = defaults.attack

    @Option(help: ArgumentHelp("Trigger: \(Triggers.names.joined(separator: ", ")).", valueName: "name"), transform: { try Self.trigger($0) })
    var trigger = defaults.trigger

    @Option(help: ArgumentHelp("Class that the backdoor leads to.", valueName: "class"))
    var target = defaults.target

    @Flag(help: "Poisoned images get the class after their own instead of the target.")
    var allToAll = false

    @Option(help: ArgumentHelp("Malicious clients, the first ones; also the number that rules assume.", valueName: "n"))
    var malicious = defaults.malicious

    @Option(help: ArgumentHelp("Poisoned fraction of a malicious client's images.", valueName: "fraction"))
    var poisonFraction = defaults.poisonFraction

    @Option(help: ArgumentHelp("Poisoned fraction of the FM data.", valueName: "fraction"))
    var fmPoisonFraction = defaults.fmPoisonFraction

    @Option(help: ArgumentHelp("Fraction of a poisoned set that carries the trigger and keeps its label. (default: none, or the trigger's own)", valueName: "fraction"))
    var coverFraction: Double?

    @Option(help: ArgumentHelp("Malicious clients scale their update by a factor, or by what replaces the mean: auto.", valueName: "auto|factor"),
            transform: { try AttackBoost(parsing: $0) })
    var modelReplacement: AttackBoost?

    @Option(help: ArgumentHelp("Malicious clients stay in this L2 ball around G.", valueName: "radius"))
    var pgdRadius: Double?

    @Option(help: ArgumentHelp("Malicious clients leave this fraction of the coordinates alone, those that benign updates moved most.", valueName: "fraction"))
    var neurotoxin: Double?

    @Option(help: ArgumentHelp("Epochs of malicious clients. (default: --local-epochs)", valueName: "n"))
    var maliciousEpochs: Int?

    @Option(help: ArgumentHelp("Learning rate of malicious clients. (default: --lr)", valueName: "rate"))
    var maliciousLr: Double?

    @Option(help: ArgumentHelp("Malicious clients train inside bounds of this many times the clean maxima.", valueName: "factor"))
    var adaptive: Double?

    func apply(to c: inout RunConfiguration) {
        (c.attack, c.trigger, c.target, c.allToAll, c.malicious) = (attack, trigger, target, allToAll, malicious)
        (c.poisonFraction, c.fmPoisonFraction, c.coverFraction) = (poisonFraction, fmPoisonFraction, coverFraction)
        (c.attackBoost, c.pgdRadius, c.neurotoxin) = (modelReplacement, pgdRadius, neurotoxin)
        (c.maliciousEpochs, c.maliciousRate, c.adaptive) = (maliciousEpochs, maliciousLr, adaptive)
    }

    static func trigger(_ name: String) throws -> String { try choose(name, "trigger", from: Triggers.names.map { ($0, $0) }) }
}
