import KernelTable
import Network

/// What one thread works in, for each shape of network, made when it is first asked for. Clients' training, the server's and predictions
/// take turns, so one will do for all of them.
final class SharedWorkspace: @unchecked Sendable {
    private let kernels: KernelTable
    private var made: [(network: ClampNet, workspace: Workspace)] = []

    init(kernels: KernelTable) { self.kernels = kernels }

    subscript(_ network: ClampNet) -> Workspace {
        if let found = made.first(where: { $0.network == network }) { return found.workspace }
        let workspace = Workspace(network, kernels)
        made.append((network, workspace))
        return workspace
    }
}

/// A trainer for each shape of network, made when it is first asked for. To be used by one thread at a time.
public final class Trainers: @unchecked Sendable {
    private let kernels: KernelTable, lanes: Int, workspaces: [SharedWorkspace]
    private var made: [Trainer] = []

    /// - Parameter workspaces: one for each thread.
    init(kernels: KernelTable, lanes: Int = 1, in workspaces: [SharedWorkspace]) {
        (self.kernels, self.lanes, self.workspaces) = (kernels, lanes, workspaces)
    }

    public subscript(_ network: ClampNet) -> Trainer {
        if let trainer = made.first(where: { $0.network == network }) { return trainer }
        let threads = workspaces.prefix(lanes)
        let trainer = Trainer(network, kernels: kernels, lanes: lanes, threads: threads.count, in: threads.map { $0[network] })
        made.append(trainer)
        return trainer
    }
}

/// A predictor for each shape of network, likewise.
final class Predictors {
    private let kernels: KernelTable, workspaces: [SharedWorkspace]
    private var made: [(network: ClampNet, predictor: Predictor)] = []

    init(kernels: KernelTable, in workspaces: [SharedWorkspace]) { (self.kernels, self.workspaces) = (kernels, workspaces) }

    subscript(_ network: ClampNet) -> Predictor {
        if let found = made.first(where: { $0.network == network }) { return found.predictor }
        let predictor = Predictor(network, kernels: kernels, threads: workspaces.count, in: workspaces.map { $0[network] })
        made.append((network, predictor))
        return predictor
    }
}
