import Network

/// No defence: G + sum w_i (W_i - G) with weights by images (McMahan et al. 2017).
public struct FedAvg: StreamingRule {
    public static let name = "none"

    public init() {}

    public func stream(_ global: Parameters, images: [Int], _ context: RuleContext) -> any UpdateStream {
        Stream(sum: RunningSum(global, threads: context.threads), weights: imageWeights(images))
    }

    private final class Stream: UpdateStream {
        private let sum: RunningSum
        private var weights: ArraySlice<Double>

        init(sum: RunningSum, weights: [Double]) { (self.sum, self.weights) = (sum, weights[...]) }

        func add(_ model: Parameters) -> Parameters {
            sum.add(model, weight: weights.removeFirst())
            return model
        }

        func finish() -> Parameters { sum.model }
    }
}
