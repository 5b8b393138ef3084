import Federation

/// A named change of the base configuration: what a row of some tables varies.
struct ConfigurationChange: Sendable {
    var name: String
    var change: @Sendable (inout RunConfiguration) -> Void

    init(_ name: String, _ change: @escaping @Sendable (inout RunConfiguration) -> Void) { (self.name, self.change) = (name, change) }
}
