import Datasets
import Federation

/// How unevenly the clients' images may be spread.
public struct DistributionTable: Table {
    public static let name = "distribution"
    private let crossed: CrossedRows
    public let columns = [Attack.classic, .fm].map(\.column)

    public init(_ scale: Scale) {
        let partitions: [Partition] = [.iid, .dirichlet(1), .dirichlet(0.5), .dirichlet(0.1), .shards(2)]
        crossed = CrossedRows(
            partitions.map { partition in ConfigurationChange("\(partition)") { $0.partition = partition } },
            Self.compared(scale))
    }

    public var caption: String { "images spread over the clients evenly and unevenly" }
    public var claim: String { "" }
    public var rowTitle: String { "partition, defence" }
    public var rows: [String] { crossed.names }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        crossed.cell(row, Attack(column: column), base)
    }
}
