import DefenseInterface
import Network
import Numerics
import Options

/// Federated pruning by the votes of clients: channels of the last convolution that stay quiet on the clients' own
/// images are where a backdoor hides. Unlike Fine-Pruning it does not depend on what the server has for data.
///
/// 1. Every client measures the mean activation of each channel of G on its images
///    (`FinePruning.LastConvolution.activity`) and sends the order of the channels, quietest first.
/// 2. A client's first p 128 channels are its votes. Those p 128 channels with most votes lose weights and bias;
///    equals go by the sum of their ranks over all clients, then by number. p = 0.2.
/// 3. Extreme weights of the last convolution are clipped to m - Delta s ... m + Delta s, with mean m and deviation s
///    (divided by the number) of the weights of the channels that are left. Delta = 3.
///
/// Malicious clients vote too. As published they may lie; here they rank as honest clients do, on their poisoned
/// images, and the figures are an upper bound of what the defence does against liars.
///
/// The paper takes p and Delta as far as a validation set of the server allows. In this setting the server has FM
/// data only, which an attack may have poisoned, so that both are fixed: p as in Bi and Li's tables, Delta by us.
/// Fine-tuning after pruning, which the paper leaves to choice, is left out, as Bi and Li name pruning alone.
///
/// Source: Wu, Yang, Zhu and Mitra, "Toward Cleansing Backdoored Neural Networks in Federated Learning", ICDCS 2022
/// (arXiv 2011.01767: "Mitigating Backdoor Attacks in Federated Learning").
public struct FederatedPruning: ModelDefense {
    public static let name = "pruning"
    public static let leastImages = 0
    public static let clientPasses = 1.0 / 3
    /// Of the last convolution.
    private static let channels = ClampNet.flattened / 16
    /// p, a fraction of the last convolution's channels, from 0 to below 1.
    public var share: Double
    /// Delta, above 0.
    public var deviations: Double

    public static let share = Setting(
        "pruning-share", default: 0.2, in: .fractionBelowOne, value: "fraction",
        help: "Pruned fraction of the last convolution's channels.")
    public static let deviations = Setting(
        "pruning-deviations", default: 3.0, in: .positive, value: "delta",
        help: "Remaining weights are clamped to this many standard deviations around their mean.")
    public static let settings: [any AnySetting] = [share, deviations]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) { (share, deviations) = (settings[Self.share], settings[Self.deviations]) }

    public func plannedPasses(_ images: Int) -> Double { 0 }

    /// Throws `DefenseError.needsClients` where there is nobody to ask.
    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        try require(model, context.synthetic)
        guard let clients = context.clients, clients.images > 0 else { throw DefenseError.needsClients(defense: Self.name) }
        let count = Int(share * Double(Self.channels))
        let ballot = Ballot(orders: clients.ask { Self.order(FinePruning.LastConvolution(model, $0, context).activity()) }, votes: count)
        let channels = HiddenChannels(network: model.network), prune = Set(ballot.elected)
        let pruned = channels.pruned(model, Set(prune.map { model.network.boundOffset(.conv6) + $0 }))
        let clipped = clip(pruned, model.network.weight(.conv6), without: prune)
        return DefenseOutcome(
            parameters: pruned, bounds: Bounds(model.network), passes: Self.clientPasses * Double(clients.images),
            audit: [
                Finding("channels of conv6 pruned", "\(prune.count) of \(Self.channels)"),
                Finding("clients that voted", "\(ballot.clients)"),
                Finding("votes of the pruned channels, from", "\(ballot.elected.map { ballot.votes[$0] }.min() ?? 0)"),
                Finding(
                    "weights of conv6 clipped, to",
                    "\(clipped.count) \(fixed(clipped.range.lowerBound, 4)) to \(fixed(clipped.range.upperBound, 4))"),
            ])
    }

    /// Channels, quietest first; equals by number.
    static func order(_ activity: [Double]) -> [Int] {
        activity.indices.sorted { (activity[$0], $0) < (activity[$1], $1) }
    }

    /// What the server makes of the clients' orders.
    struct Ballot {
        let clients: Int
        /// Of each channel.
        let votes: [Int]
        /// Channels to be pruned, those with most votes first.
        let elected: [Int]

        /// - Parameter orders: of each client, all channels, quietest first.
        init(orders: [[Int]], votes count: Int) {
            var votes = [Int](repeating: 0, count: orders.first?.count ?? 0), ranks = votes
            for order in orders {
                for (rank, channel) in order.enumerated() {
                    votes[channel] += rank < count ? 1 : 0
                    ranks[channel] += rank
                }
            }
            (clients, self.votes) = (orders.count, votes)
            let sorted = votes.indices.sorted { (-votes[$0], ranks[$0], $0) < (-votes[$1], ranks[$1], $1) }
            elected = Array(sorted.prefix(count))
        }
    }

    /// Clips the weights of the channels that are left, in place; how many there were, and to what.
    private func clip(
        _ model: Parameters, _ tensor: ParameterTensor,
        without pruned: Set<Int>
    ) -> (count: Int, range: ClosedRange<Double>) {
        var weights = model.canonical(tensor)
        let size = weights.count / tensor.shape[0]
        let left = weights.indices.filter { !pruned.contains($0 / size) }
        let range = self.range(left.map { Double(weights[$0]) })
        let extreme = left.filter { !range.contains(Double(weights[$0])) }
        for k in extreme { weights[k] = Float(min(range.upperBound, max(range.lowerBound, Double(weights[k])))) }
        model.setCanonical(tensor, weights)
        return (extreme.count, range)
    }

    /// m - Delta s ... m + Delta s.
    private func range(_ values: [Double]) -> ClosedRange<Double> {
        let n = Double(max(1, values.count)), mean = values.reduce(0, +) / n
        let deviation = (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / n).squareRoot()
        return mean - deviations * deviation...mean + deviations * deviation
    }
}
