import Network
import Options
import OwnMethods

/// What a user's program makes of a malicious client's trained model before it is sent (`--malicious-update
/// exec:PROGRAM`), after all that the built-in behaviours do. It gets the model, G, and how many collude; it answers with
/// `parameters`. Clients are asked one after the other, in their order.
public struct OwnUpdate: Sendable {
    public static let program = Setting<String?>(
        "malicious-update", default: nil,
        in: .named(OwnMethod.expected([.maliciousUpdate])) { OwnMethod.isName($0, of: [.maliciousUpdate]) },
        value: "exec:program",
        help: "A program of your own changes what malicious clients send (tools/python).")

    private let method: OwnMethod, context: AttackContext
    private let seed: UInt64, round: Int

    /// Nil where the settings do not ask for it.
    public init?(_ settings: Settings, _ context: AttackContext, seed: UInt64, round: Int) {
        guard let method = settings[Self.program].flatMap({ OwnMethod($0) }), context.colluders > 0 else { return nil }
        (self.method, self.context, self.seed, self.round) = (method, context, seed, round)
    }

    /// The name under which a client's memory is kept.
    public func stateName(_ client: Int) -> String { "\(method.kind.rawValue) \(method.label) client_\(client)" }

    /// What is sent in place of `model`, and what the client remembers. Throws `OwnMethodError`.
    public func update(
        _ model: Parameters, client: Int, images: Int,
        state: OwnState
    ) throws -> (model: Parameters, state: OwnState) {
        let network = model.network
        var arrays: [(name: String, array: OwnArray)] = [
            ("parameters", .parameters(model)), ("global", .parameters(context.global)),
        ]
        if let previous = context.previous { arrays.append(("previous", .parameters(previous))) }
        let members: [String: OwnJSON] = [
            "round": .whole(round), "client": .whole(client), "images": .whole(images),
            "participants": .whole(context.participants), "colluders": .whole(context.colluders),
            "seed": .seed(seed, method, round: round, client: client), "tensors": .tensors(network),
        ]
        let request = OwnRequest(members, arrays, state: state, allowed: ["parameters"])
        let answer = try OwnMethods.program(method).ask(.maliciousUpdate, request)
        guard let values = try answer.floats("parameters", count: network.parameterCount),
            let sent = Parameters(network, flattened: values)
        else {
            throw answer.wrong("parameters", "none")
        }
        return (sent, answer.state)
    }
}
