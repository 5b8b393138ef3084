import Federation

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
    /// The cell at a place with `base`, which carries the seed and names the data; nil where there is none.
    func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell?
}

extension Table {
    public var name: String { Self.name }
    public var rowTitle: String { "defence" }
}
