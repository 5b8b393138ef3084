import Network
import Options

/// Neurotoxin (Zhang et al. 2022): the attacker leaves the coordinates alone that benign clients move most, so that their
/// next updates do not overwrite the backdoor. Left alone is the `share` (0.05 in the paper) of all parameters with the
/// largest magnitudes, unsigned, of the global model's last change, G of this round minus G of the round before: what
/// every client can see, fusion included. The first round has no change yet and trains without a mask.
///
/// Frozen coordinates are put back to G after every step; as momentum starts at zero each round, that is the same as
/// leaving them out of the gradient and of weight decay, but that they still count in the norm that the gradient is
/// clipped to.
public struct Neurotoxin: MaliciousBehavior {
    public static let share = Setting<Double?>(
        "neurotoxin", default: nil, in: .properFraction, value: "fraction",
        help: "Malicious clients do not change this fraction of the coordinates: those that benign updates moved most.")
    public static let settings: [any AnySetting] = [share]
    public static let comparesRounds = true

    /// Places in the flat vector of parameters, ascending.
    let frozen: [Int]
    private let global: Parameters

    public init?(_ settings: Settings, _ context: AttackContext) {
        guard let share = settings[Self.share] else { return nil }
        self.init(share: share, context)
    }

    init(share: Double, _ context: AttackContext) {
        global = context.global
        frozen = context.previous.map { Self.largest(share, of: context.global, minus: $0) } ?? []
    }

    public func afterStep(_ model: Parameters) {
        for k in frozen { model.base[k] = global.base[k] }
    }

    /// The places of the largest |a - b|, `share` of all trainable numbers; among equals those that come first, never
    /// one that did not change.
    private static func largest(_ share: Double, of a: Parameters, minus b: Parameters) -> [Int] {
        let changes = (0..<a.count).lazy.map { (magnitude: abs(a.base[$0] - b.base[$0]), place: $0) }.filter { $0.magnitude > 0 }
        let sorted = changes.sorted { $0.magnitude != $1.magnitude ? $0.magnitude > $1.magnitude : $0.place < $1.place }
        return sorted.prefix(Int((share * Double(a.network.parameterCount)).rounded())).map(\.place).sorted()
    }
}
