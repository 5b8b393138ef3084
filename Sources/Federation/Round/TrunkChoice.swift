import Network
import Rules

/// Lets a rule that chooses clients choose among clients of several shapes. It sees what all shapes have: the updates of the trunk, each
/// around the global model of its own prototype, as if they were models around zero. The chosen clients are then averaged within each
/// prototype as by FedAvg; the clipping that some rules do on the way is left out.
struct TrunkChoice {
    private let groups: [Group]
    private let assumedMalicious: Int
    /// What the rule remembers of all clients, whatever their shapes.
    private(set) var ruleState: [String: [Float]]

    /// - Parameter groups: by the position of the prototype.
    init(_ groups: [Int: Group], assumedMalicious: Int, ruleState: [String: [Float]]) {
        self.groups = groups.sorted { $0.key < $1.key }.map(\.value)
        (self.assumedMalicious, self.ruleState) = (assumedMalicious, ruleState)
    }

    /// Those who are turned away, ascending; the groups keep the others, and a plain mean as their rule.
    /// - Throws: `DefenseError` where the rule's conditions do not hold.
    mutating func rejected() throws -> [Int] {
        guard let first = groups.first else { return [] }
        let shape = ClampNet(channels: first.global.network.channels, classes: first.global.network.classes)
        let updates = groups.flatMap { group in
            group.kept.map {
                ClientUpdate(client: $0.client, images: $0.images, parameters: trunk($0.parameters, minus: group.global, shape))
            }
        }
        var context = first.context
        (context.assumedMalicious, context.state) = (assumedMalicious, ruleState)
        let rejected = try first.rule.aggregate(Parameters(shape), updates, &context).rejected ?? []
        ruleState = context.state
        for group in groups {
            group.kept.removeAll { rejected.contains($0.client) }
            group.rule = FedAvg()
        }
        return rejected.sorted()
    }

    /// Zero in the output layer, whose shape depends on the head.
    private func trunk(_ model: Parameters, minus global: Parameters, _ shape: ClampNet) -> Parameters {
        let result = Parameters(shape)
        for layer in shape.layers {
            for (tensor, place) in [(model.network.weight(layer), shape.weight(layer)), (model.network.bias(layer), shape.bias(layer))] {
                for k in 0..<place.count { result.base[place.offset + k] = model.base[tensor.offset + k] - global.base[tensor.offset + k] }
            }
        }
        return result
    }
}
