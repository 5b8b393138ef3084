/// A static memory plan: regions are reserved first, then one allocation holds them all. Nothing is allocated later.
public struct ArenaPlan {
    public private(set) var floats = 0

    public init() {}

    /// Offset, in floats, of a new region of `count` floats on a 64-byte boundary.
    public mutating func reserve(_ count: Int) -> Int {
        defer { floats += (count + 15) / 16 * 16 }
        return floats
    }
}
