import Bounds
import Defenses
import Detection
import Federation
import Rules

/// A table of results: rows x columns, each place a cell for every seed. Adding one: a file with its type, and its line
/// in `Tables`.
public protocol Table: Sendable {
    /// The name on the command line.
    static var name: String { get }
    init(_ scale: Scale)
    /// What is tabulated, one line.
    var caption: String { get }
    /// What the paper claims about it, in words; empty where it says nothing.
    var claim: String { get }
    /// Heading of the rows' names.
    var rowTitle: String { get }
    var rows: [String] { get }
    var columns: [String] { get }
    /// What stands in every place, and what it means.
    var measures: [Measure] { get }
    var legend: String { get }
    /// The cell at a place with `base`, which carries the seed and names the data; nil where there is none.
    func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell?
    /// What its cells have in common: titles name what differs from it.
    func base(_ base: RunConfiguration) -> RunConfiguration
    /// What the paper prints there for a data set.
    func printed(_ row: String, _ column: String, data: String) -> PrintedFigure
    /// What its figure draws; nil for none.
    var bars: Bars? { get }
    /// Options that the rows, and the columns, are made of, with the value at each; none where a row has a name of its own.
    var rowOptions: [TableOption] { get }
    var columnOptions: [TableOption] { get }
}

/// Rows made of a variant and a defence, "dirichlet:0.5, bounds".
struct CrossedRows: Sendable {
    private let pairs: [(name: String, variant: ConfigurationChange, defense: String)]

    init(_ variants: [ConfigurationChange], _ defenses: [String]) {
        pairs = variants.flatMap { variant in defenses.map { ("\(variant.name), \($0)", variant, $0) } }
    }

    var names: [String] { pairs.map(\.name) }

    func cell(_ row: String, _ attack: Attack?, _ base: RunConfiguration) -> Cell? {
        guard let pair = pairs.first(where: { $0.name == row }), let attack else { return nil }
        var changed = base
        pair.variant.change(&changed)
        return Cell(changed, attack: attack, defense: pair.defense)
    }
}

/// Rows, or columns, that are attacks, each with a change of the base.
struct AttackRows: Sendable {
    private let cases: [(attack: Attack, variant: ConfigurationChange)]

    init(_ cases: [(attack: Attack, variant: ConfigurationChange)]) { self.cases = cases }

    var names: [String] { cases.map(\.variant.name) }

    func cell(_ row: String, _ defense: String, _ base: RunConfiguration) -> Cell? {
        guard let found = cases.first(where: { $0.variant.name == row }) else { return nil }
        var changed = base
        found.variant.change(&changed)
        return Cell(changed, attack: found.attack, defense: defense)
    }
}

extension Table {
    /// Of `names`, those that this version has.
    static func existing(_ names: [String]) -> [String] {
        names.filter { Cell.parts($0).allSatisfy(AllDefenses.names.contains) }
    }

    /// What tables compare that vary the attack or the clients: bounds, baselines, and defences that act together.
    static func compared(_ scale: Scale) -> [String] {
        existing(["none", BoundFit.name, BoundedUnlearning.name] + scale.baselines + [answers, recommended]) + scale.own.defenses
    }

    /// What trusts neither FM labels nor clients' weights, as a row.
    static var answers: String { "\(Vouching.name) + \(FederatedDistillation.name)" }

    /// The combination that is recommended, as a row.
    static var recommended: String { Recommended.parts.joined(separator: " + ") }

    public var name: String { Self.name }
    /// Whether its places stand beside what a run without attack reaches, which has to be trained, too.
    var showsFloors: Bool { measures.contains { $0.key == Measure.floor.key } }
    public var rowTitle: String { "defence" }
    public var measures: [Measure] { Measure.outcomes }
    public var bars: Bars? { Bars() }
    public var rowOptions: [TableOption] { [] }
    public var columnOptions: [TableOption] { [] }
    public func base(_ base: RunConfiguration) -> RunConfiguration { base }
    public func printed(_ row: String, _ column: String, data: String) -> PrintedFigure { .none }

    public var legend: String {
        let combined = (rows + columns).contains { Cell.parts($0).count > 1 }
        return "ACC: clean images right. ASR: triggered images of other classes that go to the target. floor: that rate for the "
            + "same-seed run without attack."
            + (combined
                ? " A + B: both, a rule before aggregation, vouching before the first round, and the last on the model that came of it."
                : "")
    }
}
