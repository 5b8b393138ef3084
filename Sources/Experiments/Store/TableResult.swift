import Federation

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
