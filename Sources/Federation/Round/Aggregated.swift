import Network
import OwnMethods

/// What aggregation leaves for fusion.
public struct Aggregated: Sendable {
    /// A prototype's part in it.
    public struct Part: Sendable {
        public var model: Parameters, ruleState: [String: [Float]]
        /// What a user's own rule remembers.
        public var own: OwnState = [:]
    }

    /// Of the prototypes that have clients in the round, by their position.
    public var parts: [Int: Part]
    /// Of a rule that chooses among clients of several shapes: its state, which stays with the first prototype.
    public var ruleStateOfAll: [String: [Float]]?
    /// Weighted mean of the teachers' logits on the FM data that are trusted, (count, classes); of a vote the logarithms of its opinions;
    /// empty where there is no fusion.
    public var teacherLogits: [Float]
    /// Models that taught.
    public var teachers: Int
    /// As in `Aggregate`.
    public var rejected: [Int]?
    public var notes: [String]
    /// Clients that `vouching` leaves out of all rounds from now on, ascending.
    public var excluded: [Int] = []
    /// Wall time of the rule alone.
    public var ruleSeconds = Double.nan
}
