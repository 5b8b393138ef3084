import Network
import Options

/// The factor by which malicious clients scale their updates.
public enum AttackBoost: Hashable, Sendable, CustomStringConvertible {
    /// n / eta divided by the number of colluders of the round: together they replace the mean.
    case replacement
    case factor(Double)

    public var description: String {
        switch self {
        case .replacement: "auto"
        case let .factor(factor): factor.text
        }
    }
}

extension AttackBoost: SettingValue {
    public static let expected = "auto or a number above 0"
    public var text: String { description }

    public init?(text: String) {
        if text == "auto" {
            self = .replacement
        } else if let factor = Double(text) {
            self = .factor(factor)
        } else {
            return nil
        }
    }

    public var number: Double? {
        if case let .factor(factor) = self { factor } else { nil }
    }
}

/// Model replacement (Bagdasaryan et al. 2020): the client sends L = G + g (X - G) for its trained model X, so that the
/// mean of n updates, of which the others' nearly cancel, becomes X: g = n / eta, shared by the m colluders, g = n / (eta
/// m). The server's rate eta is 1 here. Exact where all clients have as many images; FedAvg weighs others by theirs.
public struct ModelReplacement: MaliciousBehavior {
    public static let boost = Setting<AttackBoost?>(
        "model-replacement", default: nil,
        in: Allowed(AttackBoost.expected, interval: Interval(0, .infinity, includesLower: false)), value: "auto|factor",
        help: "Malicious clients multiply their update by a factor; auto is the factor with which their model replaces the mean.",
        formerly: ["attackBoost"])
    public static let settings: [any AnySetting] = [boost]

    let factor: Double
    private let global: Parameters

    public init?(_ settings: Settings, _ context: AttackContext) {
        guard let boost = settings[Self.boost] else { return nil }
        self.init(boost, context)
    }

    init(_ boost: AttackBoost, _ context: AttackContext) {
        global = context.global
        switch boost {
        case .replacement: factor = Double(context.participants) / Double(context.colluders)
        case let .factor(given): factor = given
        }
    }

    public func beforeUpload(_ model: Parameters) { scaleUpdate(model, around: global, by: factor) }
}
