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
