import Network

/// The factor by which malicious clients scale their updates.
public enum AttackBoost: Hashable, Sendable, CustomStringConvertible {
    /// n / eta divided by the number of colluders of the round: together they replace the mean.
    case replacement
    case factor(Double)

    /// Parses "auto" or a number above 0.
    public init(parsing text: String) throws {
        if text == "auto" {
            self = .replacement
        } else if let factor = Double(text), factor > 0, factor.isFinite {
            self = .factor(factor)
        } else {
            throw AttackError.option("--model-replacement", given: text, expected: "auto or a number above 0")
        }
    }

    public var description: String {
        switch self {
        case .replacement: "auto"
        case let .factor(factor): "\(factor)"
        }
    }
}

extension AttackBoost: Codable {
    public init(from decoder: any Decoder) throws { try self.init(parsing: decoder.singleValueContainer().decode(String.self)) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// Model replacement (Bagdasaryan et al. 2020): the client sends L = G + g (X - G) for its trained model X, so that the
/// mean of n updates, of which the others' nearly cancel, becomes X: g = n / eta, shared by the m colluders, g = n / (eta
/// m). The server's rate eta is 1 here. Exact where all clients have as many images; FedAvg weighs others by theirs.
struct ModelReplacement: MaliciousBehavior {
    let factor: Double
    private let global: Parameters

    init(_ boost: AttackBoost, _ context: AttackContext) {
        global = context.global
        switch boost {
        case .replacement: factor = Double(context.participants) / Double(context.colluders)
        case let .factor(given): factor = given
        }
    }

    func beforeUpload(_ model: Parameters) { scaleUpdate(model, around: global, by: factor) }
}
