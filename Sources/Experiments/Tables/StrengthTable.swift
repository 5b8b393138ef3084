import Attacks
import Federation

/// How strong the attackers are, and how many FM images the server has.
public struct StrengthTable: Table {
    public static let name = "strength"
    public let columns: [String]
    private let attacks: AttackRows

    public init(_ scale: Scale) {
        columns = Self.compared(scale)
        let n = scale.base.clients
        let fractions = [0.05, 0.1, 0.2, 0.3, 0.5].map { fraction in
            (
                Attack.fm,
                ConfigurationChange("fm, \(Int(fraction * 100 + 0.5)) % of the FM data poisoned") { $0.fmPoisonFraction = fraction }
            )
        }
        let malicious = (1...4).filter { 2 * $0 < n }.map { count in
            (Attack.classic, ConfigurationChange("classic, \(count) of \(n) clients malicious") { $0.malicious = count })
        }
        let replaced = ConfigurationChange("classic, model replacement") { $0[ModelReplacement.boost] = .replacement }
        let replacement = [(Attack.classic, replaced)]
        let sizes = [500, 1_000, 2_000, 5_000, 10_000].filter { $0 <= scale.holdout }.map { size in
            (Attack.fm, ConfigurationChange("fm, \(Numbers.grouped(size)) FM images") { $0.syntheticLimit = size })
        }
        attacks = AttackRows(fractions + malicious + replacement + scale.own.attacks("classic") + sizes)
    }

    public var caption: String { "stronger and weaker attackers, more and fewer FM images" }
    public var claim: String { "" }
    public var rowTitle: String { "attack" }
    public var rows: [String] { attacks.names }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { attacks.cell(row, column, base) }
}
