/// What one of several colluders stamps of a distributed trigger: colluder i of m carries the parts i, i + m, ...; with
/// more colluders than parts several carry the same one.
public struct TriggerShare: Hashable, Sendable {
    public var colluder: Int, of: Int

    /// `colluder` from 0, below `of`.
    public init(_ colluder: Int, of colluders: Int) {
        (self.colluder, of) = (colluder, max(1, colluders))
    }

    public func carries(_ part: Int, parts: Int) -> Bool {
        let carriers = min(of, parts)
        return part % carriers == colluder % carriers
    }
}
