/// How large a round is, for what a rule will need of memory.
public struct RoundSize: Sendable {
    /// Clients in all, clients in a round, rounds.
    public var clients: Int, participants: Int, rounds: Int
    /// Bytes of one model.
    public var modelBytes: Int

    public init(clients: Int, participants: Int, rounds: Int, modelBytes: Int) {
        (self.clients, self.participants, self.rounds, self.modelBytes) = (clients, participants, rounds, modelBytes)
    }
}
