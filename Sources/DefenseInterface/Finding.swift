/// A line of what a defence found out: FM images dropped, the class that looks attacked, bounds per layer.
public struct Finding: Equatable, Sendable {
    public var name: String, value: String
    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}
