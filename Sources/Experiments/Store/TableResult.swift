import Federation
import Numerics

/// What was measured at one place of a table with one seed; NaN where nothing was.
public struct Measurement: Equatable, Sendable {
    public var accuracy = Double.nan, attackSuccess = Double.nan, robustAccuracy = Double.nan
    /// Of the clients' own models, where measured.
    public var clientAccuracy = Double.nan, clientAttackSuccess = Double.nan
    /// FM images that a defence on them left out.
    public var leftOut = Double.nan
    /// Rate at which the same-seed clean run, with the same defence, puts the same triggered images into the target class.
    public var floor = Double.nan
    /// Accuracy of the clients' own models lost against no defence in the same column.
    public var accuracyDrop = Double.nan
    /// What the paper prints.
    public var printed = PrintedFigure.none
    /// Filled in for the table `cost` only.
    public var cost = Cost()

    public static let none = Measurement()
}

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

/// A table filled in.
public struct TableResult: Sendable {
    public var name: String, caption: String, claim: String, rowTitle: String
    public var legend: String, measures: [Measure]
    public var rows: [String], columns: [String]
    /// Of its cells, which may be others than the results' own.
    public var seeds: [UInt64]
    /// What its cells were measured on; nil for what the other results were.
    public var evaluateOn: EvaluationSplit?
    /// [row][column][seed]
    public var places: [[[Measurement]]]
    /// Columns without attack, which have a floor but no attack success.
    public var cleanColumns: Set<String>
    /// [row][column]: a curve for each seed; none where the place is a defence on the model, which comes after the rounds.
    var curves: [[[Curve]]]
    /// What the rows and columns of a sweep are made of.
    var rowOptions: [TableOption] = [], columnOptions: [TableOption] = []

    public func values(_ row: Int, _ column: Int, _ measure: Measure) -> [Double] { places[row][column].map(measure.value) }

    /// What its figure draws; nil for none.
    public var bars: Bars?

    /// The measures that make sense in a column.
    public func measures(_ column: Int) -> [Measure] {
        measures.filter { $0.isShown && (!$0.isOfAttack || !cleanColumns.contains(columns[column])) }
    }

    /// "0.812", or "0.812 ± 0.010" over several seeds; "-" where nothing was measured.
    public func summary(_ row: Int, _ column: Int, _ measure: Measure, plusMinus: String = "±") -> String {
        let values = values(row, column, measure)
        let mean = Numbers.fixed(Statistics.mean(values), measure.decimals)
        guard values.count > 1, mean != "-" else { return mean }
        return mean + plusMinus + Numbers.fixed(Statistics.deviation(values), measure.decimals)
    }
}

/// What a figure of a table draws in every place: two bars, and a tick on the second.
public struct Bars: Sendable {
    public var accuracy = Measure.accuracy, attackSuccess = Measure.attackSuccess, tick = Measure.floor
    /// What the tick is, for the legend.
    public var tickTitle = "floor: that rate without attack"
}

/// Over seeds; NaN values, which stand for cells that are missing, are left out.
public enum Statistics {
    /// NaN for none.
    public static func mean(_ values: [Double]) -> Double {
        let values = values.filter { !$0.isNaN }
        return values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count)
    }

    /// Standard deviation of the sample (n - 1); NaN for less than two.
    public static func deviation(_ values: [Double]) -> Double {
        let values = values.filter { !$0.isNaN }, mean = mean(values)
        guard values.count > 1 else { return .nan }
        return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot()
    }
}
