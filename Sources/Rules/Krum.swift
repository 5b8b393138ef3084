import DefenseInterface
import Network

/// Krum (Blanchard et al. 2017, "Machine Learning with Adversaries"): the model with the lowest score is taken whole.
///
///     score(i) = sum of the n - f - 2 smallest ||W_i - W_j||^2, j != i
///
/// Needs 2f + 2 < n. f is the assumed number of malicious clients.
public struct Krum: AggregationRule {
    public static let name = "krum"
    public static var scope: RuleScope { .trunk }

    public init() {}

    public func unmet(clients n: Int, malicious f: Int) -> String? { unmetByKrum(n, f) }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let chosen = krumOrder(updates, context)[0]
        return Aggregate(
            model: Parameters(copying: updates[chosen].parameters), teachers: [Teacher(updates[chosen].parameters)],
            rejected: updates.indices.filter { $0 != chosen }.map { updates[$0].client })
    }
}

/// What Krum and Multi-Krum need.
func unmetByKrum(_ n: Int, _ f: Int) -> String? { 2 * f + 2 < n ? nil : "2f + 2 < n" }

/// Positions of the updates, lowest score first; ties go to the lower client number.
func krumOrder(_ updates: [ClientUpdate], _ context: RuleContext) -> [Int] {
    let n = updates.count, f = context.assumedMalicious
    let distances = pairwise(updates.map(\.parameters), threads: context.threads, blockDistance)
    let scores = krumScores(distances, among: Array(0..<n), f)
    return scores.indices.sorted { (scores[$0], $0) < (scores[$1], $1) }
}

/// Krum's scores of the models `members`, among themselves, from all squared distances. As Bulyan's set shrinks below
/// f + 3 models, one neighbour is still counted.
func krumScores(_ squaredDistances: [[Double]], among members: [Int], _ f: Int) -> [Double] {
    members.map { i in
        let others = members.filter { $0 != i }.map { squaredDistances[i][$0] }.sorted()
        return others.prefix(max(1, members.count - f - 2)).reduce(0, +)
    }
}
