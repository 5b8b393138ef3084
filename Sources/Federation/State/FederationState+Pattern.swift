import Attacks
import Datasets
import KernelTable
import Network

/// The trigger's pattern where malicious clients adapt it from round to round.
extension FederationState {
    /// A malicious client's images with the pattern that it adapts in the next round; nil where it adapts none.
    func adapted(_ samples: Samples, _ client: Int, _ global: Parameters, _ kernels: KernelTable) -> Samples? {
        guard configuration.isMalicious(client), let adaptation = configuration.adaptation, let planted = samples.backdoor
        else { return nil }
        var stream = RandomStream(seed: configuration.seed, purpose: "trigger-adaptation", round: nextRound, client: client)
        return adaptation.adapted(samples.carrying(backdoor(planted)), to: global, kernels, using: &stream)
    }

    /// What is measured: the planted backdoor, with the pattern as it is now.
    public func backdoor(_ planted: Backdoor) -> Backdoor { pattern.map(planted.adapted) ?? planted }

    /// Takes up the mean of the patterns of a round's malicious clients, of one size and in the order of the clients; in double.
    mutating func share(_ patterns: [[Float]]) {
        guard let first = patterns.first else { return }
        pattern = first.indices.map { k in Float(patterns.reduce(0) { $0 + Double($1[k]) } / Double(patterns.count)) }
    }
}
