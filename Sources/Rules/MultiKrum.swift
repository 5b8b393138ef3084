import Network

/// Multi-Krum (Blanchard et al. 2017): the m = n - f models with the lowest scores of `Krum`, averaged by their images.
/// Needs 2f + 2 < n.
public struct MultiKrum: AggregationRule {
    public static let name = "multi-krum"
    public static var scope: RuleScope { .trunk }

    public init() {}

    public func unmet(clients n: Int, malicious f: Int) -> String? { unmetByKrum(n, f) }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let selected = krumOrder(updates, context).prefix(updates.count - context.assumedMalicious).sorted()
        let chosen = selected.map { updates[$0] }
        return Aggregate(
            model: weightedSum(global, chosen.map(\.parameters), imageWeights(chosen.map(\.images)), threads: context.threads),
            teachers: chosen.map { Teacher($0.parameters) },
            rejected: updates.indices.filter { !selected.contains($0) }.map { updates[$0].client })
    }
}
