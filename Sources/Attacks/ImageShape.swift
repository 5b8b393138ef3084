/// Height, width and channels of the images a trigger is stamped on.
public struct ImageShape: Hashable, Sendable {
    public var channels: Int, side: Int
    public init(channels: Int, side: Int) {
        self.channels = channels
        self.side = side
    }
    public var count: Int { channels * side * side }
}
