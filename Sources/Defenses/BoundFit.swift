import Attacks
import Datasets
import Network
import Tensor

/// The defence: bounds z on the hidden activations, a <- min(a, z), fitted on FM data that may be poisoned.
///
/// 1. `Screen` sets images aside that look poisoned.
/// 2. z starts at the 0.99 quantile of each channel's maxima over the images kept.
/// 3. Adam on the relative bounds r = z / z0 minimises, over batches of kept images and suspects,
///       MSE(f_z(x), f(x)) / var(f)  on kept images   (fidelity)
///     + relu(margin of the suspected class + 0.5)    on suspects
///     + c * mean(r)                                  (pressure)
///    where c is multiplied or divided by 1.3 every ten steps to hold the agreement of predictions on kept images at a
///    target. r stays in [0, 1].
///
/// Source: Bi and Li, arXiv 2410.17573 (bounds fitted on FM data); MM-BM (Wang et al.) for the penalty's control.
public struct BoundFit: ModelDefense {
    public static let name = "bounds"
    public var startQuantile = 0.99
    public var steps = 150, batch = 192, suspectsInBatch = 64
    public var rate = 0.03
    /// Agreement with the unbounded predictions, on kept images, that the pressure is steered to; with suspects as
    /// evidence little pressure is needed.
    public var agreement = 0.95, agreementWithSuspects = 0.97
    public var screens = true

    public init() {}

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        let samples = context.synthetic
        try check(model, samples)
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        let activations = Activations(model, samples, predictor)
        let screen = screens ? Screen(activations, seed: context.seed) : nil
        let suspects = screen?.suspects ?? []
        let suspected = Set(suspects.map(\.image))
        let kept = (0..<samples.count).filter { !suspected.contains($0) }

        let start = activations.quantiles(startQuantile, of: kept)
        let fit = BoundOptimizer(model, samples, activations, start: start, context)
        let target = suspects.isEmpty ? agreement : agreementWithSuspects
        let reached = fit.run(kept: kept, suspects: suspects, steps: steps, batch: batch, suspectsInBatch: suspectsInBatch,
                              rate: rate, agreement: target)
        let passes = Double(samples.count) / 3 + Double(steps * batch) * 2 / 3
        return DefenseOutcome(parameters: model, bounds: fit.bounds, passes: passes,
                              audit: findings(screen, samples, reached, fit.bounds, start), suspects: screen.map { _ in suspects.map(\.image) })
    }

    private func check(_ model: Parameters, _ samples: Samples) throws {
        guard model.allFinite else { throw DefenseError.model("the model holds NaN or infinite parameters; bounds cannot be fitted to it") }
        guard samples.count >= 50 else {
            throw DefenseError.syntheticData("bounds need at least 50 FM images, got \(samples.count)")
        }
        guard Set((0..<samples.count).map { samples.label($0) }).count >= 2 else {
            throw DefenseError.syntheticData("bounds need FM images of at least 2 classes, got \(samples.count) images of 1 class")
        }
    }

    private func findings(_ screen: Screen?, _ samples: Samples, _ agreement: Double, _ bounds: Bounds, _ start: [Float]) -> [Finding] {
        var found: [Finding] = []
        if let screen {
            found.append(Finding("class that looks attacked", screen.flagged.isEmpty ? "none" : screen.flagged.map(String.init).joined(separator: " ")))
            found.append(Finding("FM images set aside", "\(screen.suspects.count) of \(samples.count)"))
            let scores = screen.scores.map { $0.map { fixed($0, 2) } ?? "-" }
            if scores.count <= 20 { found.append(Finding("score per class (from \(fixed(Screen.threshold, 2)): attacked)", scores.joined(separator: " "))) }
        }
        found.append(Finding("agreement on FM images kept", fixed(agreement, 3)))
        for layer in Layer.allCases {
            let ratios = layer.bounds.map { start[$0] > 0 ? bounds.buffer.base[$0] / start[$0] : 1 }
            let tight = ratios.filter { $0 < 0.5 }.count
            found.append(Finding("\(layer.name): bound / start, median", "\(fixed(Double(quantile(0.5, ratios)), 2)), \(tight) of \(ratios.count) below half"))
        }
        return found
    }
}

/// `value` with that many decimals, without Foundation.
func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let whole = Int((abs(value) * scale).rounded()), unit = Int(scale)
    let fraction = String(whole % unit)
    return (value < 0 ? "-" : "") + "\(whole / unit)." + String(repeating: "0", count: decimals - fraction.count) + fraction
}
