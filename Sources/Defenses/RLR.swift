import Network

/// RLR, the robust learning rate (Ozdayi, Kantarcioglu, Gel 2021, "Defending against Backdoors in Federated Learning with
/// Robust Learning Rate"). The mean update, weighted by images, is applied with a rate of its own for every coordinate:
///
///     +eta where |sum_i sign(D_ij)| >= theta, else -eta,    eta = 1
///
/// The paper takes theta = 4 of 10 clients and 8 of 40, which is 4 sqrt(n / 10); other n follow that curve, rounded up.
public struct RobustLearningRate: AggregationRule {
    public static let name = "rlr"
    /// eta.
    public var rate = 1.0
    /// theta for n clients.
    public var threshold: @Sendable (_ n: Int) -> Int = { n in
        Int((4 * (Double(n) / 10).squareRoot() - 1e-9).rounded(.up))
    }

    public init(_ options: RuleOptions = RuleOptions()) {}

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let bases = updates.map { $0.parameters.base }, weights = imageWeights(updates), g = global.base
        let theta = Double(threshold(updates.count)), rate = rate
        let result = Parameters(global.network)
        forEachBlock(global.count, threads: context.threads) { first, width, _ in
            withUnsafeTemporaryAllocation(of: Double.self, capacity: 2 * width) { buffer in
                guard let sum = buffer.baseAddress else { return }
                let votes = sum + width
                buffer.initialize(repeating: 0)
                for (base, weight) in zip(bases, weights) {
                    for k in 0..<width {
                        let d = Double(base[first + k]) - Double(g[first + k])
                        sum[k] += weight * d
                        votes[k] += d > 0 ? 1 : d < 0 ? -1 : 0
                    }
                }
                for k in 0..<width {
                    result.base[first + k] = Float(Double(g[first + k]) + (abs(votes[k]) >= theta ? rate : -rate) * sum[k])
                }
            }
        }
        return Aggregate(model: result, teachers: updates.map { Teacher($0.parameters) })
    }
}
