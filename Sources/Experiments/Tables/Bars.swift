/// What a figure of a table draws in every place: two bars, and a tick on the second.
public struct Bars: Sendable {
    public var accuracy = Measure.accuracy, attackSuccess = Measure.attackSuccess, tick = Measure.floor
    /// What the tick is, for the legend.
    public var tickTitle = "floor: that rate without attack"
}
