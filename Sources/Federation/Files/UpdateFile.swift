import Datasets
import HDF5
import Network

/// A client's update as a file: a checkpoint whose `/model` is the client's, with the configuration of the run it belongs
/// to and, in `/update`, who sent it, in which round, trained from which global model, on how many images.
public struct UpdateFile: Sendable {
    public let path: String
    public let sender: Sender
    /// Mean loss of the local training, as the client says.
    public let loss: Double
    /// The trigger's pattern where a malicious client adapted it.
    let pattern: [Float]?

    public static func write(_ result: LocalResult, _ sender: Sender, _ state: FederationState, isa: InstructionSet, to path: String) throws
    {
        try HDF5File.write(path) { file in
            try RunFile.header(file)
            try RunFile.writeModel(result.update, "/model", state.normalization, file)
            try RunFile.writeConfiguration(state.configuration, state.provenance, file)
            try file.createGroup("/update")
            try file.setAttribute("client", of: "/update", sender.client)
            try file.setAttribute("round", of: "/update", state.nextRound)
            try file.setAttribute("images", of: "/update", sender.images)
            try file.setAttribute("loss", of: "/update", result.loss)
            try file.setAttribute("global", of: "/update", state.fingerprint)
            try file.setAttribute("instruction_set", of: "/update", isa.rawValue)
            if let pattern = result.pattern { try RunFile.writePattern(pattern, RunFile.updatePattern, state.network, file) }
        }
    }

    /// Checks an update against the round that `state` is at. Its parameters are checked too, but not kept.
    ///
    /// - Parameter client: who sent the file, where that is known from elsewhere.
    /// - Throws: `RunError.incompatible` naming the sender.
    public init(reading path: String, from client: Int?, _ state: FederationState, fingerprint: String) throws {
        var name = client.map { "client \($0), \(path)" } ?? path
        func require(_ ok: Bool, _ text: @autoclosure () -> String) throws {
            guard ok else { throw RunError.incompatible("\(name): \(text())") }
        }
        do {
            let file = try HDF5File.open(path), kind = try StepKind(of: file)
            try require(kind == .update, "expected a client's update, got \(kind)")
            func number(_ attribute: String) throws -> Int {
                guard let value = try file.intAttribute(attribute, of: "/update") else {
                    throw RunError.incompatible("\(name): /update has no attribute \(attribute)")
                }
                return value
            }
            let sender = Sender(client: try number("client"), images: try number("images")), round = try number("round")
            name = "client \(client ?? sender.client), \(path)"
            try require(client == nil || client == sender.client, "is an update of client \(sender.client)")
            let mine = RunFile.hash(try state.configuration.json())
            try require(
                RunFile.hash(try StepKind.readConfiguration(file).json()) == mine,
                "belongs to another run (its configuration has another hash)")
            try require(round == state.nextRound, "is of round \(round), expected round \(state.nextRound)")
            try require(
                (0..<state.configuration.clients).contains(sender.client), "there are clients 0 to \(state.configuration.clients - 1) only")
            try require(state.nextClients.contains(sender.client), "is not a client of round \(round)")
            let network = try RunFile.readNetwork(file)
            let expected = state.network(of: sender.client)
            try require(network == expected, "has another topology: \(network), expected \(expected), as the client has had from the first")
            try require(
                try file.stringAttribute("global", of: "/update") == fingerprint, "was trained from another global model of that round")
            try require((1...1_000_000_000).contains(sender.images), "says that it has \(sender.images) images, expected 1 or more")
            loss = try file.doubleAttribute("loss", of: "/update") ?? .nan
            pattern = try file.exists(RunFile.updatePattern) ? try RunFile.readPattern(RunFile.updatePattern, state, file) : nil
            try require(
                pattern == nil || state.configuration.isMalicious(sender.client), "has an adapted pattern and is not malicious in this run")
            try require(
                pattern.map { $0.count == state.pattern?.count ?? $0.count } ?? true, "has a pattern of another size than the run's")
            (self.path, self.sender) = (path, sender)
            _ = try RunFile.readModel(file, "/model", network)
        } catch let error as RunError {
            throw error.naming(name)
        } catch {
            throw RunError.incompatible("\(name): \(error)")
        }
    }

    /// The client's model.
    func parameters(_ network: ClampNet) throws -> Parameters {
        let file = try HDF5File.open(path)
        return try RunFile.readModel(file, "/model", network)
    }
}

private extension RunError {
    /// With the sender before it, if it does not begin with that already.
    func naming(_ name: String) -> RunError {
        let text = "\(self)"
        return .incompatible(text.hasPrefix(name) ? text : "\(name): \(text)")
    }
}
