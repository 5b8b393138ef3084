import Attacks
import Datasets
import DefenseInterface
import Detection
import Network
import Numerics
import Tensor

/// The defence: bounds z on the hidden activations, a <- min(a, z), fitted on FM data that may be poisoned.
///
/// 1. `Screen` looks for a class whose FM images are of two kinds, and for the trigger that one kind has in common. Where it
///    finds none, `TriggerSearch` looks for what malicious clients planted: perturbations that turn images into one class in
///    this model and not in the one before round 1.
/// 2. Images that look poisoned are set aside as suspects, and doubtful ones are not used. z starts at the 0.99 quantile of each
///    channel's maxima over the images kept.
/// 3. Adam on the relative bounds r = z / z0 in [0, 1], its rate falling to 0, minimises over batches
///       KL(softmax f(x) || softmax f_z(x))             on kept images: fidelity to the unbounded model
///     + KL(softmax f(x) || softmax f_z(x + t))         on kept images of all classes under a trigger t that screen or search
///                                                      found: the same predictions with it as without
///     + w relu(margin of the suspected class + 0.5)    on suspects that without the trigger belong to another
///                                                      class, and for classes that only the search accuses on kept images
///                                                      under its perturbations, which go on ascending: evidence against
///                                                      the backdoor
///     + c mean(r)                                      pressure, without which channels that a bound does not cut yet have no
///                                                      gradient
///    where c is multiplied or divided by 1.3 every ten steps: up while more than a twentieth of the suspects stay in their class,
///    and where there are no suspects while the predictions on kept images agree with the unbounded ones by more than a target;
///    once fewer than half of them agree the bounds go back to where they did, and the pressure is given up.
///
/// On a model that puts all FM images into one class z stays where it starts: whatever z is, no prediction would tell.
///
/// Source: Bi and Li, arXiv 2410.17573 (bounds fitted on FM data); MM-BM (Wang et al.) for the penalty's control.
public struct BoundFit: ModelDefense {
    public static let name = "bounds"
    public static let handsOutBounds = true
    public internal(set) var label = Self.name
    public var startQuantile = 0.99
    /// What step 3 goes by.
    public var settings = BoundSettings()
    /// Steps times a full batch: times that the fit goes through as many images as there are FM images. With these a fit takes no more
    /// passes than a plain round of scale study, whatever it finds.
    public var epochs = 5.5
    /// The same among few FM images where something was found, up to as many steps, with suspects or of the search: with fewer the bounds
    /// are still on their way when the rate has fallen to 0. Where nothing was found more steps bought nothing.
    public var epochsOfFew = 19.2, stepsWithSuspects = 300.0, stepsAfterSearch = 220.0
    /// Never more steps than this: on 10,000 FM images a fit is then about the work of a round with 50,000 images.
    public var mostSteps = 400
    /// Whether FM images are screened and triggers searched for.
    public var screens = true

    public init() {}

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        fitted(try examine(model, context), model, context)
    }

    /// Step 1.
    func examine(_ model: Parameters, _ context: DefenseContext) throws -> Evidence {
        try require(model, context.synthetic)
        return Detection.examine(model, context, looks: screens)
    }

    /// Steps 2 and 3: start and fit.
    func fitted(_ evidence: Evidence, _ model: Parameters, _ context: DefenseContext) -> DefenseOutcome {
        let images = evidence.activations.count
        var start = evidence.activations.quantiles(startQuantile, of: evidence.kept, threads: context.threads)
        if settings.perLayer {
            for bounds in model.network.layers.map(model.network.bounds(of:)) { for i in bounds { start[i] = start[bounds].max() ?? 0 } }
        }
        let tellsClassesApart = Set(evidence.activations.predictions).count > 1
        let optimizer = BoundOptimizer(model, evidence, context)
        let fitted = optimizer.run(settings, start: start, steps: tellsClassesApart ? steps(images, stepsOfFew(evidence)) : 0)
        let bounds = optimizer.bounds
        return DefenseOutcome(
            parameters: model, bounds: bounds, passes: evidence.passes + optimizer.passes,
            audit: evidence.audit + (tellsClassesApart ? outcome(fitted) : [Self.saysOneClass]) + tightness(bounds, start),
            suspects: evidence.audited)
    }

    private var batch: Int { settings.keptInBatch + settings.transplantedInBatch + settings.suspectsInBatch }

    private func stepsOfFew(_ evidence: Evidence) -> Double {
        if evidence.isEmpty { return 0 }
        return evidence.suspects.isEmpty ? stepsAfterSearch : stepsWithSuspects
    }

    private func steps(_ images: Int, _ stepsOfFew: Double) -> Int {
        let images = Double(images), batch = Double(batch)
        return min(mostSteps, max(20, Int(max(epochs * images / batch, min(stepsOfFew, epochsOfFew * images / batch)))))
    }

    public func plannedPasses(_ images: Int) -> Double {
        Evidence.plannedPasses(images, looks: screens) + Double(steps(images, stepsWithSuspects) * batch) * 2 / 3
    }

    static let saysOneClass = Finding("bounds left where they start", "the model puts all FM images into one class")

    private func outcome(_ fitted: BoundOptimizer.Fitted) -> [Finding] {
        [Finding("agreement on FM images kept", fixed(fitted.agreement, 3))]
            + (fitted.stayed.map { share in
                let wanted = settings.stayed < 1 ? ", wanted at most \(fixed(settings.stayed, 2))" : ""
                return [Finding("suspects that stay in their class", fixed(share, 3) + wanted)]
            } ?? [])
    }

    private func tightness(_ bounds: Bounds, _ start: [Float]) -> [Finding] {
        bounds.network.layers.map { layer in
            let ratios = bounds.network.bounds(of: layer).map { start[$0] > 0 ? bounds.buffer.base[$0] / start[$0] : 1 }
            let tight = ratios.filter { $0 < 0.5 }.count
            return Finding(
                "\(layer.name): bound / start, median", "\(fixed(Double(quantile(0.5, ratios)), 2)), \(tight) of \(ratios.count) below half"
            )
        }
    }
}
