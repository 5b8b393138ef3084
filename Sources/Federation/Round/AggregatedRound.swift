/// A round after aggregation, before fusion.
public struct AggregatedRound: Sendable {
    /// With the aggregate as its model.
    public var state: FederationState
    public var row: HistoryRow
    public var teacherLogits: [Float]
    /// Clients whose updates are in it, and those of the round that are not.
    public var clients: [Int], missing: [Int]
    /// As in `Aggregate`.
    public var rejected: [Int]?
    /// Why updates were refused, where that did not end the step.
    public var refusals: [String]
}
