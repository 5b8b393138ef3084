import KernelTable
import Network
import Options

/// What malicious clients know in a round besides their own data. They collude: what one sees, all know.
public struct AttackContext: Sendable {
    /// G as it was sent to the clients this round, and the round before; nil for the latter in the first round.
    public var global: Parameters, previous: Parameters?
    /// Clients of this round, and the malicious ones among them.
    public var participants: Int, colluders: Int
    public var kernels: KernelTable

    public init(global: Parameters, previous: Parameters?, participants: Int, colluders: Int, kernels: KernelTable) {
        (self.global, self.previous) = (global, previous)
        (self.participants, self.colluders) = (participants, colluders)
        self.kernels = kernels
    }
}

/// What a malicious client does besides training on poisoned images. One object serves all malicious clients of a round,
/// on several threads.
public protocol MaliciousBehavior: Sendable {
    /// Its options. It is asked for where one of them is not at its default.
    static var settings: [any AnySetting] { get }
    /// Whether it needs `AttackContext.previous`.
    static var comparesRounds: Bool { get }
    /// Nil where the settings do not ask for it.
    init?(_ settings: Settings, _ context: AttackContext)
    /// Bounds for every second step on `samples`, beginning with the first; nil to train all of them without.
    func trainingBounds(_ samples: Samples) -> Bounds?
    /// Changes the model after every step of SGD.
    func afterStep(_ model: Parameters)
    /// Changes the trained model into what is sent to the server.
    func beforeUpload(_ model: Parameters)
    /// The same for one that looks at the client's images, or at `honest()`: the model that it would have trained on them without poison,
    /// from the same G in the same order, with no behaviour.
    func beforeUpload(_ model: Parameters, _ samples: Samples, honest: () -> Parameters)
}

extension MaliciousBehavior {
    public static var comparesRounds: Bool { false }
    public func trainingBounds(_ samples: Samples) -> Bounds? { nil }
    public func afterStep(_ model: Parameters) {}
    public func beforeUpload(_ model: Parameters) {}
    public func beforeUpload(_ model: Parameters, _ samples: Samples, honest: () -> Parameters) { beforeUpload(model) }
}

/// model <- G + factor (model - G), in double.
func scaleUpdate(_ model: Parameters, around global: Parameters, by factor: Double) {
    for k in 0..<model.count {
        let g = Double(global.base[k])
        model.base[k] = Float(g + factor * (Double(model.base[k]) - g))
    }
}

/// ||model - G|| over all parameters, in double.
func updateNorm(_ model: Parameters, _ global: Parameters) -> Double {
    var sum = 0.0
    for k in 0..<model.count {
        let d = Double(model.base[k]) - Double(global.base[k])
        sum += d * d
    }
    return sum.squareRoot()
}
