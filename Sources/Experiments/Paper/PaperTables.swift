import Attacks
import Bounds
import Defenses
import Detection
import Federation

/// A table of the paper beside our own: its rows are defences by our names, ours under the printed ones, its columns settings.
protocol PaperTable: Table {
    /// Roman, as printed.
    static var numeral: String { get }
    var `protocol`: PaperProtocol { get }
    /// Where our runs depart from the printed protocol.
    var deviations: [String] { get }
    /// The printed line that a column stands beside, for a data set.
    func place(_ column: String, _ defense: String, data: String) -> Printed.Place?
}

extension PaperTable {
    public var rowTitle: String { "defence" }
    public var measures: [Measure] { Measure.besideThePaper }
    public var claim: String { "" }
    var deviations: [String] { `protocol`.deviations }
    public var bars: Bars? {
        Bars(
            accuracy: .clientAccuracy, attackSuccess: .clientAttackSuccess, tick: .printedAttackSuccess,
            tickTitle: "ASR that the paper prints")
    }

    public var legend: String {
        "ACC and ASR are means over clients of their own models, as in the paper: accuracy on local test sets, attack success on triggered images. "
            + "drop: ACC lost against none. paper: what Bi and Li print in table \(Self.numeral) (arXiv 2410.17573 v3) for this data set; bounds-paper "
            + "is their defence; the rows below it are ours. Where we depart from their protocol: "
            + deviations.enumerated().map { "(\($0 + 1)) \($1)" }.joined(separator: "; ") + "."
    }

    public func base(_ base: RunConfiguration) -> RunConfiguration { `protocol`.configuration(base) }

    public func printed(_ row: String, _ column: String, data: String) -> PrintedFigure {
        place(column, row, data: Printed.dataset(data)).flatMap { Printed.tables[$0] } ?? .none
    }

    /// The printed baselines, then what the paper calls its own.
    static var printedRows: [String] {
        existing(["none", "norm-clip", "dp", "krum", "clip-cluster", "sign-guard", "rfout", "pruning", PaperBounds.name])
    }

    /// Ours, under the printed rows.
    static var ours: [String] { existing([BoundFit.name, BoundedUnlearning.name, Vouching.name, recommended]) }
}

/// What tables I and II have in common: the novel attack, cross-silo and cross-device, IID and Dirichlet 0.1.
struct PaperNovelAttack {
    typealias Setting = (name: String, participation: PaperProtocol.Participation, partition: String)

    let `protocol`: PaperProtocol
    let settings: [Setting]
    /// Whether clients have networks of several shapes.
    let isHeterogeneous: Bool

    init(_ scale: Scale, heterogeneous: Bool = false) {
        `protocol` = PaperProtocol(scale: scale)
        isHeterogeneous = heterogeneous
        settings = PaperProtocol.Participation.allCases.flatMap { participation in
            PaperProtocol.partitions.map { ("\(participation.rawValue), \($0)", participation, $0) }
        }.filter { scale.paperSettings?.contains($0.0) ?? true }
    }

    func configuration(_ setting: Setting, _ base: RunConfiguration) -> RunConfiguration {
        var c = `protocol`.configuration(base, setting.participation, setting.partition)
        if isHeterogeneous { c.heads = `protocol`.scale.paperHeads }
        return c
    }

    func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        guard let setting = settings.first(where: { $0.name == column }) else { return nil }
        return Cell(configuration(setting, base), attack: .fm, defense: row)
    }

    func place(_ column: String, _ defense: String, data: String) -> Printed.Place? {
        settings.first { $0.name == column }.map {
            Printed.Place(
                table: isHeterogeneous ? "II" : "I", setting: $0.participation.rawValue, data: data, partition: $0.partition, attack: "fm",
                trigger: "patch", defense: defense)
        }
    }
}

/// A table whose columns are the settings of the novel attack.
protocol PaperNovelTable: PaperTable {
    var attack: PaperNovelAttack { get }
}

extension PaperNovelTable {
    var `protocol`: PaperProtocol { attack.protocol }
    public var columns: [String] { attack.settings.map(\.name) }
    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { attack.cell(row, column, base) }
    func place(_ column: String, _ defense: String, data: String) -> Printed.Place? { attack.place(column, defense, data: data) }
}

/// Table I: the novel attack on clients of one shape.
public struct PaperTable1: PaperNovelTable {
    public static let name = "paper-1", numeral = "I"
    public let rows: [String]
    let attack: PaperNovelAttack
    var `protocol`: PaperProtocol { attack.protocol }

    public init(_ scale: Scale) {
        rows = (scale.paperRows ?? Self.printedRows + Self.ours) + scale.own.defenses
        attack = PaperNovelAttack(scale)
    }

    public var caption: String { "table I of the paper: the novel attack (poisoned FM images), clients of one shape" }
    public var columns: [String] { attack.settings.map(\.name) }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { attack.cell(row, column, base) }
    func place(_ column: String, _ defense: String, data: String) -> Printed.Place? { attack.place(column, defense, data: data) }
}

/// Table II: the novel attack on clients of several shapes.
public struct PaperTable2: PaperNovelTable {
    public static let name = "paper-2", numeral = "II"
    public let rows: [String]
    let attack: PaperNovelAttack
    var `protocol`: PaperProtocol { attack.protocol }

    public init(_ scale: Scale) {
        rows = (scale.paperRows ?? Self.printedRows + Self.ours) + scale.own.defenses
        attack = PaperNovelAttack(scale, heterogeneous: true)
    }

    public var caption: String { "table II of the paper: the novel attack (poisoned FM images), clients of several shapes" }
    public var columns: [String] { attack.settings.map(\.name) }
    var deviations: [String] { `protocol`.deviations + `protocol`.deviationsOfShapes }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { attack.cell(row, column, base) }
    func place(_ column: String, _ defense: String, data: String) -> Printed.Place? { attack.place(column, defense, data: data) }
}

/// Table III: the paper's defence without attack and under the classic attack with three triggers, cross-silo.
public struct PaperTable3: PaperTable {
    public static let name = "paper-3", numeral = "III"
    let `protocol`: PaperProtocol
    public let rows: [String]
    private let cases: [(name: String, attack: Attack, trigger: String, partition: String)]

    public init(_ scale: Scale) {
        `protocol` = PaperProtocol(scale: scale)
        rows = (scale.paperRows?.filter { $0 != "krum" } ?? Self.existing(["none", PaperBounds.name]) + Self.ours) + scale.own.defenses
        let triggers = scale.paperRows == nil ? ["patch", "blend", "sig"] : ["patch"]
        let attacks = [(Attack.none, "patch")] + triggers.map { (Attack.classic, $0) }
        cases = attacks.flatMap { attack, trigger in
            PaperProtocol.partitions.map { (attack == .none ? "clean, \($0)" : "classic \(trigger), \($0)", attack, trigger, $0) }
        }.filter { found in scale.paperSettings?.contains("cross-silo, \(found.3)") ?? true }
    }

    public var caption: String { "table III of the paper: no attack, and the classic attack (malicious clients) with three triggers" }
    public var columns: [String] { cases.map(\.name) }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        guard let found = cases.first(where: { $0.name == column }) else { return nil }
        var c = `protocol`.configuration(base, .crossSilo, found.partition)
        c.trigger = found.trigger
        return Cell(c, attack: found.attack, defense: row)
    }

    func place(_ column: String, _ defense: String, data: String) -> Printed.Place? {
        cases.first { $0.name == column }.map {
            Printed.Place(
                table: "III", setting: "cross-silo", data: data, partition: $0.partition, attack: $0.attack.rawValue,
                trigger: $0.attack == .none ? "-" : $0.trigger, defense: defense)
        }
    }
}

/// The attack paper's table, and its ablations of the novel attack: how strong it is with nothing against it.
public struct PaperAttackTable: PaperTable {
    public static let name = "paper-attack", numeral = "of the attack paper"
    private typealias Column = (name: String, attack: PaperNovelAttack, setting: PaperNovelAttack.Setting)
    private typealias Row = (row: String, attack: Attack, change: @Sendable (inout RunConfiguration) -> Void)
    let `protocol`: PaperProtocol
    private let places: [Column]
    private let variants: [Row]

    public init(_ scale: Scale) {
        `protocol` = PaperProtocol(scale: scale)
        places = [false, true].flatMap { heterogeneous -> [Column] in
            let attack = PaperNovelAttack(scale, heterogeneous: heterogeneous)
            return attack.settings.map { (heterogeneous ? "several shapes, \($0.name)" : $0.name, attack, $0) }
        }
        let attacks: [Row] = [("clean", .none, { _ in }), ("classic", .classic, { _ in }), ("fm", .fm, { _ in })]
        variants = attacks + (scale.paperRows == nil ? Self.ablations : [])
    }

    /// What the attack paper changes one at a time.
    private static var ablations: [Row] {
        [0.0, 0.4, 0.6, 0.8, 1].map { weight -> Row in ("fm, label weight \(weight)", .fm, { $0.labelWeight = weight }) }
            + [0.05, 0.1, 0.3].map { share -> Row in ("fm, poisoned share \(share)", .fm, { $0.fmPoisonFraction = share }) }
            + [
                ("fm, poison in initialisation only", .fm, { $0.fmPoisonStage = .initialisation }),
                ("fm, poison in fusion only", .fm, { $0.fmPoisonStage = .fusion }),
            ]
    }

    public var rowTitle: String { "attack" }
    public var rows: [String] { variants.map(\.row) }
    public var columns: [String] { places.map(\.name) }
    public var caption: String { "the attack paper's table and ablations: nothing against the attack" }
    var deviations: [String] { `protocol`.deviations + `protocol`.deviationsOfShapes }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        guard let place = places.first(where: { $0.name == column }), let variant = variants.first(where: { $0.row == row }) else {
            return nil
        }
        let isAblation = variant.row.contains(",")
        guard !isAblation || column == places[0].name else { return nil }
        var c = place.attack.configuration(place.setting, base)
        variant.change(&c)
        return Cell(c, attack: variant.attack, defense: "none")
    }

    func place(_ column: String, _ defense: String, data: String) -> Printed.Place? { nil }

    public func printed(_ row: String, _ column: String, data: String) -> PrintedFigure {
        guard let place = places.first(where: { $0.name == column }) else { return .none }
        let model = place.attack.isHeterogeneous ? "heterogeneous" : "homogeneous"
        return Printed.attack(
            row == "clean" ? "none" : row, model: model, setting: place.setting.participation.rawValue, data: Printed.dataset(data),
            partition: place.setting.partition)
    }
}
