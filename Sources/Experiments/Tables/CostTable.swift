import Defenses
import Federation
import Numerics

/// What every defence takes in time, memory and traffic. It shares the trainings of `main` without attack.
public struct CostTable: Table {
    public static let name = "cost"
    public let rows: [String]
    public let columns = ["without attack"]

    public init(_ scale: Scale) { rows = MainTable(scale).rows.filter { Cell.parts($0).count == 1 } }

    public var caption: String { "seconds, memory and bytes of every defence, as a share of a plain round" }
    public var claim: String { "" }
    public var measures: [Measure] { Measure.costs }
    public var bars: Bars? { nil }

    public var legend: String {
        "Rules before aggregation: a whole round (s, median; rule s: the rule alone). Defences on the model: once, after the last round. "
            + "share: of a round without defence. memory: largest resident memory of the process meanwhile. sent: computed from the sizes of "
            + "what server and clients exchange, both ways. Wall times are of the machine as it was, other work included."
    }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? { Cell(base, attack: .none, defense: row) }
}
