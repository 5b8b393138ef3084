import Federation

/// Where a run stands: for people one line, for engines an object.
struct StepProgress {
    private let state: FederationState

    init(_ state: FederationState) { self.state = state }

    var text: String {
        let finished = state.finishedRounds ?? 0,
            done =
                finished < 0 ? "the clients vouch for the FM labels first" : "round \(finished) of \(state.configuration.rounds) finished"
        if state.boundsAreDue { return "\(done); next: step bound" }
        return state.isFinished ? done : "\(done); clients of the next: \(state.nextClients.map { "\($0)" }.joined(separator: " "))"
    }

    var members: [(String, JSON)] {
        [
            ("finished_rounds", .whole(state.finishedRounds ?? 0)), ("rounds", .whole(state.configuration.rounds)),
            ("finished", .flag(state.isFinished)), ("bound_is_due", .flag(state.boundsAreDue)),
            ("clients", .array(state.isFinished ? [] : state.nextClients.map { .whole($0) })), ("global", .text(state.fingerprint)),
        ]
    }
}
