import Network

/// RLR, the robust learning rate (Ozdayi, Kantarcioglu, Gel 2021, "Defending against Backdoors in Federated Learning with
/// Robust Learning Rate"). The mean update, weighted by images, is applied with a rate of its own for every coordinate:
///
///     +eta where |sum_i sign(D_ij)| >= theta, else -eta,    eta = 1
///
/// The paper takes theta = 4 of 10 clients and 8 of 40, which is 4 sqrt(n / 10); other n follow that curve, rounded up.
public struct RobustLearningRate: StreamingRule {
    public static let name = "rlr"
    /// eta.
    public var rate = 1.0
    /// theta for n clients.
    public var threshold: @Sendable (_ n: Int) -> Int = { n in
        Int((4 * (Double(n) / 10).squareRoot() - 1e-9).rounded(.up))
    }

    public init() {}

    public func stream(_ global: Parameters, images: [Int], _ context: RuleContext) -> any UpdateStream {
        Stream(global, imageWeights(images), threshold: Double(threshold(images.count)), rate: rate, threads: context.threads)
    }

    private final class Stream: UpdateStream {
        private let global: Parameters, threshold: Double, rate: Double, threads: Int
        private var weights: ArraySlice<Double>
        /// Weighted sum of the updates, then sums of their signs.
        private var sums: [Double]

        init(_ global: Parameters, _ weights: [Double], threshold: Double, rate: Double, threads: Int) {
            (self.global, self.threshold, self.rate, self.threads) = (global, threshold, rate, threads)
            self.weights = weights[...]
            sums = [Double](repeating: 0, count: 2 * global.count)
        }

        func add(_ model: Parameters) -> Parameters {
            let weight = weights.removeFirst(), w = model.base, g = global.base, count = global.count
            sums.withUnsafeMutableBufferPointer { buffer in
                guard let sum = buffer.baseAddress else { return }
                let votes = sum + count
                forEachBlock(count, threads: threads) { first, width, _ in
                    for k in first..<first + width {
                        let d = Double(w[k]) - Double(g[k])
                        sum[k] += weight * d
                        votes[k] += d > 0 ? 1 : d < 0 ? -1 : 0
                    }
                }
            }
            return model
        }

        func finish() -> Parameters {
            let result = Parameters(global.network), count = global.count
            for k in 0..<count {
                let rate = abs(sums[count + k]) >= threshold ? rate : -rate
                result.base[k] = Float(Double(global.base[k]) + rate * sums[k])
            }
            return result
        }
    }
}
