/// What an own method is asked: numbers and texts in the line, arrays in a file.
public struct OwnRequest: Sendable {
    public var members: [String: OwnJSON]
    public var arrays: [(name: String, array: OwnArray)]
    /// What it remembered; handed back with every answer.
    public var state: OwnState
    /// The names of arrays that it may give.
    public var allowed: [String]

    public init(
        _ members: [String: OwnJSON], _ arrays: [(name: String, array: OwnArray)], state: OwnState = [:],
        allowed: [String]
    ) {
        (self.members, self.arrays, self.state, self.allowed) = (members, arrays, state, allowed)
    }
}
