/// An option that the rows or columns of a table are made of, and its value in each of them.
public struct TableOption: Equatable, Sendable { public var name: String, values: [String] }
