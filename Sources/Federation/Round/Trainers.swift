import KernelTable
import Network

/// A trainer for each shape of network, made when it is first asked for. To be used by one thread at a time.
public final class Trainers: @unchecked Sendable {
    private let kernels: KernelTable, lanes: Int, threads: Int
    private var made: [Trainer] = []

    public init(kernels: KernelTable, lanes: Int = 1, threads: Int = 1) {
        (self.kernels, self.lanes, self.threads) = (kernels, lanes, threads)
    }

    public subscript(_ network: ClampNet) -> Trainer {
        if let trainer = made.first(where: { $0.network == network }) { return trainer }
        let trainer = Trainer(network, kernels: kernels, lanes: lanes, threads: threads)
        made.append(trainer)
        return trainer
    }
}

/// A predictor for each shape of network, likewise.
final class Predictors {
    private let kernels: KernelTable, threads: Int
    private var made: [(network: ClampNet, predictor: Predictor)] = []

    init(kernels: KernelTable, threads: Int) { (self.kernels, self.threads) = (kernels, threads) }

    subscript(_ network: ClampNet) -> Predictor {
        if let found = made.first(where: { $0.network == network }) { return found.predictor }
        let predictor = Predictor(network, kernels: kernels, threads: threads)
        made.append((network, predictor))
        return predictor
    }
}
