import Bounds
import Defenses
import Federation

/// What the parts of the system contribute: those of our bound fit, readings of Algorithm 1, labels in fusion,
/// initialisation, fusion.
public struct AblationTable: Table {
    public static let name = "ablation"
    private let variants: [ConfigurationChange]
    private let places: [(name: String, attack: Attack, defense: String)]

    public init(_ scale: Scale) {
        variants = [
            ConfigurationChange("as in main") { _ in },
            ConfigurationChange("label weight 0") { $0.labelWeight = 0 },
            ConfigurationChange("label weight 0.25") { $0.labelWeight = 0.25 },
            ConfigurationChange("label weight 1") { $0.labelWeight = 1 },
            ConfigurationChange("no initialisation") { $0.initialEpochs = 0 },
            ConfigurationChange("no fusion") { $0.fusionEpochs = 0 },
        ]
        let defenses = Self.existing(["none", "bounds", "bounds-paper"]) + scale.own.defenses
        places = [Attack.classic, .fm].flatMap { attack in defenses.map { ("\(attack.column), \($0)", attack, $0) } }
    }

    public var caption: String { "the parts of the system, one changed at a time" }
    public var claim: String { "" }
    public var rowTitle: String { "variant" }
    public var rows: [String] { [variants[0].name] + BoundVariants.all.map(\.title) + variants[1...].map(\.name) }
    public var columns: [String] { places.map(\.name) }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        guard let place = places.first(where: { $0.name == column }) else { return nil }
        if let fit = BoundVariants.all.first(where: { $0.title == row }) {
            return place.defense == fit.base ? Cell(base, attack: place.attack, defense: fit.name) : nil
        }
        guard let variant = variants.first(where: { $0.name == row }) else { return nil }
        var changed = base
        variant.change(&changed)
        return Cell(changed, attack: place.attack, defense: place.defense)
    }
}
