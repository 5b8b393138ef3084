import Attacks
import DefenseInterface
import Network
import OwnMethods

/// A user's own defence on the finished model, a program (`exec:PROGRAM`). It gets the parameters, those before the first
/// round where they are known, and the FM data as the server holds them; it answers with `parameters`, `bounds` (at
/// least 0, infinity for none), `suspects` (positions of FM images that it takes for poisoned) and findings, any of them.
public struct OwnDefense: ModelDefense {
    public static let name = "exec", leastImages = 0
    private let method: OwnMethod?

    /// Needed by the protocol only.
    public init() { method = nil }

    public init(_ method: OwnMethod) { self.method = method }

    public var label: String { method?.label ?? Self.name }
    public var identity: String { method?.text ?? Self.name }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        guard let method else { throw DefenseError.model("\(Self.name): no program") }
        let answer = try OwnMethods.program(method).ask(.modelDefense, request(method, model, context))
        let network = model.network
        let changed = try answer.floats("parameters", count: network.parameterCount)
            .flatMap { Parameters(network, flattened: $0) }
        let bounds = Bounds(network), expected = "numbers from 0, infinity for no bound"
        for (k, z) in (try answer.floats("bounds", count: network.totalBounds, expected) { $0 >= 0 } ?? []).enumerated() {
            bounds.buffer.base[k] = z
        }
        return DefenseOutcome(
            parameters: changed ?? model, bounds: bounds, passes: 0,
            audit: answer.audit.map { Finding($0.name, $0.value) },
            suspects: try suspects(answer, images: context.synthetic.count))
    }

    private func request(_ method: OwnMethod, _ model: Parameters, _ context: DefenseContext) -> OwnRequest {
        let network = model.network
        var arrays: [(name: String, array: OwnArray)] = [("parameters", .parameters(model))]
        arrays += context.synthetic.ownArrays("fm")
        if let initial = context.initial { arrays.append(("initial", .parameters(initial))) }
        if !context.distrusted.isEmpty { arrays.append(("distrusted", .whole(context.distrusted))) }
        let members: [String: OwnJSON] = [
            "round": .whole(context.round), "threads": .whole(context.threads), "classes": .whole(network.classes),
            "seed": .seed(context.seed, method, round: context.round), "tensors": .tensors(network),
            "bounded": .bounded(network),
        ]
        return OwnRequest(members, arrays, allowed: ["parameters", "bounds", "suspects"])
    }

    private func suspects(_ answer: OwnAnswer, images: Int) throws -> [Int]? {
        guard let found = try answer.positions("suspects") else { return nil }
        guard zip(found, found.dropFirst()).allSatisfy(<), found.allSatisfy({ (0..<images).contains($0) }) else {
            throw answer.wrong("suspects: ascending positions of FM images from 0, below \(images)", "others")
        }
        return found
    }
}
