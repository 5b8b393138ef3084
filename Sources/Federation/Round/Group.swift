import Attacks
import Datasets
import Network
import Rules

/// The updates of one prototype in a round.
final class Group {
    let global: Parameters, senders: [Sender]
    var rule: any AggregationRule
    var context: RuleContext
    /// Nil under a rule that needs all updates at once.
    let stream: (any UpdateStream)?
    var kept: [ClientUpdate] = []

    /// - Parameters:
    ///   - index: position of the prototype.
    ///   - synthetic: the FM data that the server uses.
    init(
        _ state: FederationState, prototype index: Int, from senders: [Sender], by rule: any AggregationRule, _ server: Server,
        _ synthetic: Samples
    ) {
        let prototype = state.prototypes[index]
        (global, self.senders, self.rule) = (prototype.global, senders, rule)
        let mean = state.meanImages ?? senders.reduce(0) { $0 + $1.images } / senders.count
        context = RuleContext(
            assumedMalicious: state.assumedMalicious(senders.count), seed: Self.seed(state.configuration.seed, index),
            round: state.nextRound, threads: server.threads, kernels: server.kernels, state: prototype.ruleState,
            server: RuleServer(state, prototype, server, synthetic, rootImages: mean))
        context.ownState = prototype.ownStates[Prototype.ownRule] ?? [:]
        stream = (rule as? any StreamingRule)?.stream(prototype.global, images: senders.map(\.images), context)
    }

    /// A rule that draws noise draws other noise for each prototype: the same would cancel out in the difference of two of them.
    private static func seed(_ seed: UInt64, _ index: Int) -> UInt64 {
        guard index > 0 else { return seed }
        var stream = RandomStream(seed: seed, purpose: "prototype", client: index)
        return stream.next()
    }
}
