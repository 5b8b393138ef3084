import Network

/// Multi-Krum (Blanchard et al. 2017): the score of a client is the sum of its n - f - 2 smallest squared distances to
/// the others; the m = n - f clients with the lowest scores are averaged by their images. Needs 2f + 2 < n.
public struct MultiKrum: AggregationRule {
    public static let name = "multi-krum"

    public init() {}

    public func aggregate(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let n = updates.count, f = context.assumedMalicious
        guard 2 * f + 2 < n else {
            throw DefenseError.tooFewClients(rule: Self.name, needs: "2f + 2 < n", clients: n, malicious: f)
        }
        let scores = krumScores(updates.map(\.parameters), f)
        let selected = scores.indices.sorted { (scores[$0], $0) < (scores[$1], $1) }.prefix(n - f).sorted()
        let chosen = selected.map { updates[$0] }
        let rejected = updates.indices.filter { !selected.contains($0) }.map { updates[$0].client }
        return Aggregate(model: weightedSum(global, chosen.map(\.parameters), imageWeights(chosen)),
                         teachers: chosen.map { Teacher($0.parameters) }, rejected: rejected)
    }
}

/// Krum's score of every model: the sum of its n - f - 2 smallest squared distances to the other models.
func krumScores(_ models: [Parameters], _ f: Int) -> [Double] {
    let n = models.count
    var distances = [[Double]](repeating: [Double](repeating: 0, count: n), count: n)
    for i in 0..<n {
        for j in 0..<i {
            distances[i][j] = squaredDistance(models[i], models[j])
            distances[j][i] = distances[i][j]
        }
    }
    return (0..<n).map { i in
        (0..<n).filter { $0 != i }.map { distances[i][$0] }.sorted().prefix(n - f - 2).reduce(0, +)
    }
}
