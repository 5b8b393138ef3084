/// A numeric column of a table's places.
public struct Measure: Sendable {
    /// In files, and for people.
    public var key: String, title: String
    public var decimals: Int
    /// Whether tables show it, or only files have it.
    public var isShown = true
    /// Whether it makes no sense without attack.
    public var isOfAttack = false
    public var value: @Sendable (Measurement) -> Double

    public static let accuracy = Measure(key: "acc", title: "ACC", decimals: 3) { $0.accuracy }
    public static let attackSuccess = Measure(key: "asr", title: "ASR", decimals: 3, isOfAttack: true) { $0.attackSuccess }
    public static let floor = Measure(key: "floor", title: "floor", decimals: 3) { $0.floor }
    public static let robustAccuracy = Measure(key: "robust_accuracy", title: "robust", decimals: 3, isShown: false) { $0.robustAccuracy }

    /// Of tables that stand beside printed ones: the clients' own models, what is printed, and the difference.
    static let besideThePaper = [
        clientAccuracy,
        Measure(key: "paper_acc", title: "paper's", decimals: 3) { $0.printed.accuracy },
        Measure(key: "acc_difference", title: "diff", decimals: 3) { $0.clientAccuracy - $0.printed.accuracy },
        clientAttackSuccess,
        printedAttackSuccess,
        Measure(key: "asr_difference", title: "diff", decimals: 3, isOfAttack: true) { $0.clientAttackSuccess - $0.printed.attackSuccess },
        Measure(key: "client_drop", title: "drop", decimals: 3) { $0.accuracyDrop },
        Measure(key: "paper_drop", title: "paper's", decimals: 3) { $0.printed.accuracyDrop },
        Measure(key: "global_acc", title: "global ACC", decimals: 3, isShown: false) { $0.accuracy },
        Measure(key: "global_asr", title: "global ASR", decimals: 3, isShown: false) { $0.attackSuccess },
    ]
    /// The same where the paper prints nothing.
    static let clientModels = besideThePaper.filter { !$0.key.hasPrefix("paper_") && !$0.key.hasSuffix("_difference") }
    /// Beside the outcomes of tables whose clients' own models are measured.
    static let ofClients = [
        Measure(key: "client_acc", title: "clients' ACC", decimals: 3) { $0.clientAccuracy },
        Measure(key: "client_asr", title: "clients' ASR", decimals: 3, isOfAttack: true) { $0.clientAttackSuccess },
    ]
    static let clientAccuracy = Measure(key: "client_acc", title: "ACC", decimals: 3) { $0.clientAccuracy }
    static let clientAttackSuccess = Measure(key: "client_asr", title: "ASR", decimals: 3, isOfAttack: true) { $0.clientAttackSuccess }
    static let printedAttackSuccess = Measure(key: "paper_asr", title: "paper's", decimals: 3, isOfAttack: true) {
        $0.printed.attackSuccess
    }

    /// What a defence costs that nothing attacks.
    static let falseAlarms = [accuracy, Measure(key: "left_out", title: "FM images left out", decimals: 0) { $0.leftOut }]

    /// Those of every table but `cost`.
    public static let outcomes = [accuracy, attackSuccess, floor, robustAccuracy]
}

extension Measure {
    /// Those of the table `cost`.
    static let costs = [
        Measure(key: "seconds", title: "s", decimals: 2) { $0.cost.seconds },
        Measure(key: "seconds_share", title: "share", decimals: 2) { $0.cost.secondsShare },
        Measure(key: "rule_seconds", title: "rule s", decimals: 3) { $0.cost.ruleSeconds },
        Measure(key: "memory_mb", title: "memory MB", decimals: 1) { $0.cost.memory / 1e6 },
        Measure(key: "memory_share", title: "share", decimals: 2) { $0.cost.memoryShare },
        Measure(key: "sent_mb", title: "sent MB", decimals: 3) { $0.cost.bytes / 1e6 },
        Measure(key: "sent_share", title: "share", decimals: 4) { $0.cost.bytesShare },
    ]
}
