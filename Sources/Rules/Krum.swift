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
    let distances = squaredDistances(updates.map(\.parameters), context.kernels, threads: context.threads)
    let scores = Neighbours(distances).krumScores(among: Array(updates.indices), context.assumedMalicious)
    return scores.indices.sorted { (scores[$0], $0) < (scores[$1], $1) }
}

/// All squared distances, for each model those to the others in ascending order: sorted once, however often scores are asked for.
struct Neighbours {
    private let sorted: [[(model: Int, distance: Double)]]

    init(_ squaredDistances: [[Double]]) {
        sorted = squaredDistances.indices.map { i in
            squaredDistances[i].enumerated().filter { $0.offset != i }.map { (model: $0.offset, distance: $0.element) }
                .sorted { $0.distance < $1.distance }
        }
    }

    /// Krum's scores of the models `members`, among themselves. As Bulyan's set shrinks below f + 3 models, one neighbour is still
    /// counted.
    func krumScores(among members: [Int], _ f: Int) -> [Double] {
        var isMember = [Bool](repeating: false, count: sorted.count)
        for i in members { isMember[i] = true }
        return members.map { i in
            var sum = 0.0, left = max(1, members.count - f - 2)
            for neighbour in sorted[i] where isMember[neighbour.model] {
                if left == 0 { break }
                sum += neighbour.distance
                left -= 1
            }
            return sum
        }
    }
}
