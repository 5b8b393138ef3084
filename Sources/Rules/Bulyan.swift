import DefenseInterface
import Network

/// Bulyan (El Mhamdi et al. 2018, "The Hidden Vulnerability of Distributed Learning in Byzantium"), over Krum:
///
/// 1. theta = n - 2f models are selected one by one, each by Krum among those still there (scores anew every time);
/// 2. of every coordinate the theta - 2f selected values nearest their median are averaged, without weights.
///
/// Needs n >= 4f + 3. Where the assumed f is too large for n it is lowered to floor((n - 3) / 4), with a note. Of two values
/// equally far from the median the smaller is nearer.
public struct Bulyan: AggregationRule {
    public static let name = "bulyan"
    public static var scope: RuleScope { .oneShape }

    public init() {}

    public func unmet(clients n: Int, malicious f: Int) -> String? { n >= 3 ? nil : "n >= 4f + 3" }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        let n = updates.count, assumed = context.assumedMalicious
        let f = min(assumed, (n - 3) / 4)
        let selected = select(updates.map(\.parameters), f, context)
        let chosen = selected.map { updates[$0] }
        let theta = chosen.count, low = (theta - 1) / 2, high = theta / 2, kept = theta - 2 * f
        let model = fromSortedCoordinates(chosen.map(\.parameters), like: global, context.kernels, threads: context.threads) { rows, out in
            forEachEightColumns(out) { k in
                let middle = (rows.eight(low, k) + rows.eight(high, k)) / 2
                // The nearest values are neighbours once sorted. The first t are farther than those that would take their place, up to
                // some t: as many are left out below.
                var below = SIMD8<Double>.zero
                for t in 0..<2 * f {
                    let farther = middle - rows.eight(t, k) .> rows.eight(t + kept, k) - middle
                    below.replace(with: below + 1, where: farther)
                }
                var sum = SIMD8<Double>.zero
                for rank in 0..<theta {
                    let place = SIMD8<Double>(repeating: Double(rank)), isKept = place .>= below .& place .< below + Double(kept)
                    sum += SIMD8<Double>.zero.replacing(with: rows.eight(rank, k), where: isKept)
                }
                return sum / Double(kept)
            }
        }
        return Aggregate(
            model: model, teachers: chosen.map { Teacher($0.parameters) },
            rejected: updates.indices.filter { !selected.contains($0) }.map { updates[$0].client },
            notes: f == assumed ? [] : ["bulyan: f lowered from \(assumed) to \(f), as n = \(n) is below 4f + 3 = \(4 * assumed + 3)"])
    }

    /// Positions of n - 2f models, each Krum's choice among those left, ascending.
    func select(_ models: [Parameters], _ f: Int, _ context: RuleContext) -> [Int] {
        let neighbours = Neighbours(squaredDistances(models, context.kernels, threads: context.threads))
        var left = Array(models.indices), selected: [Int] = []
        for _ in 0..<models.count - 2 * f {
            let scores = neighbours.krumScores(among: left, f)
            guard let best = left.indices.min(by: { (scores[$0], $0) < (scores[$1], $1) }) else { break }
            selected.append(left.remove(at: best))
        }
        return selected.sorted()
    }
}
