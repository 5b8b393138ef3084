import Network
import Numerics

/// Last steps of FLAME, DeepSight and SignGuard: S = median of ||D_i|| over ALL clients, updates of the admitted clipped to
/// norm S, G + their mean, without weights. The clipped models are the teachers.
func clippedMean(_ global: Parameters, _ updates: [ClientUpdate], admitted: [Int], threads: Int) -> (aggregate: Aggregate, scale: Double) {
    let norms = updateNorms(updates.map(\.parameters), global, threads: threads), scale = median(norms)
    return (clippedMean(global, updates, norms, to: scale, admitted: admitted, threads: threads), scale)
}

/// The same with a limit of its own. `norms` are those of all updates.
func clippedMean(_ global: Parameters, _ updates: [ClientUpdate], _ norms: [Double], to limit: Double, admitted: [Int], threads: Int)
    -> Aggregate
{
    guard !admitted.isEmpty else { return .noStep(global, rejecting: updates) }
    let models = admitted.map { updates[$0].parameters }, factors = clipFactors(admitted.map { norms[$0] }, limit)
    let model = weightedSum(global, models, factors.map { $0 / Double(models.count) }, threads: threads)
    return Aggregate(
        model: model, teachers: zip(models, factors).map { Teacher($0, scaledBy: $1, around: global) },
        rejected: updates.indices.filter { !admitted.contains($0) }.map { updates[$0].client })
}
