import Attacks
import Datasets
import Network
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
    public internal(set) var label = Self.name
    public var startQuantile = 0.99
    /// Kept images in a batch, and beside them kept images under a trigger that was found, and suspects, or perturbed images for
    /// the classes that the search accuses; where nothing looks attacked kept images alone.
    public var keptInBatch = 64, transplantedInBatch = 16, suspectsInBatch = 16, perturbedInBatch = 16
    /// Steps times a full batch: times that the fit goes through as many images as there are FM images. With these a fit takes no more
    /// passes than a plain round of scale study, whatever it finds.
    public var epochs = 5.5
    /// The same among few FM images where something was found, up to as many steps, with suspects or of the search: with fewer the bounds
    /// are still on their way when the rate has fallen to 0. Where nothing was found more steps bought nothing.
    public var epochsOfFew = 19.2, stepsWithSuspects = 300.0, stepsAfterSearch = 220.0
    /// Never more steps than this: on 10,000 FM images a fit is then about the work of a round with 50,000 images.
    public var mostSteps = 400
    public var rate = 0.03
    public var evidenceWeight = 0.5
    /// What the pressure is steered to: the share of suspects that stay in their class (1: no pressure), and where there are none the
    /// agreement with the unbounded predictions on kept images.
    public var stayed = 0.05, agreement = 0.98
    /// Where fewer of the predictions on kept images are the unbounded ones the bounds go back to where the last ten steps that did better began,
    /// and the pressure is given up:
    /// suspects that no bounds can tell from other images would otherwise take the whole model with them.
    public var leastAgreement = 0.5
    /// Whether FM images are screened and triggers searched for.
    public var screens = true
    /// One bound for all channels of a layer, from the largest start among them, instead of one a channel.
    public var perLayer = false
    /// Fidelity: the divergence above, or else the mean squared error of the logits.
    public var comparesLogits = false

    public init() {}

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        fitted(try investigate(model, context), model, context)
    }

    /// What is known before bounds are fitted, or a trigger is unlearned.
    struct Investigation {
        var activations: Activations
        var optimizer: BoundOptimizer
        /// nil without a screen.
        var suspicion: Suspicion?
        var evidence: Evidence { suspicion?.evidence ?? Evidence() }
        /// FM images that are neither suspects nor doubtful.
        var kept: [Int]
        /// Passes over images so far.
        var passes: Double { optimizer.passes + Double(activations.count) / 3 }
    }

    /// Step 1: the FM images through the model, screen and search.
    func investigate(_ model: Parameters, _ context: DefenseContext) throws -> Investigation {
        let samples = context.synthetic
        try require(model, samples)
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        let activations = Activations(model, samples, predictor)
        let optimizer = BoundOptimizer(model, samples, activations, predictor, context)
        let suspicion = screens ? suspicion(activations, optimizer, context) : nil
        let out = Set((suspicion?.evidence.suspects ?? []).map(\.image) + (suspicion?.evidence.doubtful ?? []))
        return Investigation(activations: activations, optimizer: optimizer, suspicion: suspicion,
                             kept: (0..<samples.count).filter { !out.contains($0) })
    }

    /// Steps 2 and 3: start and fit.
    func fitted(_ found: Investigation, _ model: Parameters, _ context: DefenseContext) -> DefenseOutcome {
        let images = found.activations.count
        var start = found.activations.quantiles(startQuantile, of: found.kept, threads: context.threads)
        if perLayer {
            for bounds in model.network.layers.map(model.network.bounds(of:)) { for i in bounds { start[i] = start[bounds].max() ?? 0 } }
        }
        let tellsClassesApart = Set(found.activations.predictions).count > 1
        let fitted = found.optimizer.run(self, start: start, kept: found.kept, evidence: found.evidence,
                                         steps: tellsClassesApart ? steps(images, stepsOfFew(found.evidence)) : 0)
        let bounds = found.optimizer.bounds
        return DefenseOutcome(parameters: model, bounds: bounds, passes: found.passes,
                              audit: Self.audit(found) + (tellsClassesApart ? outcome(fitted) : [Self.saysOneClass]) + tightness(bounds, start),
                              suspects: found.suspicion?.evidence.suspects.map(\.image))
    }

    /// What screen and search hold against the FM data.
    struct Suspicion {
        var screen: [Double?]
        /// What the scores are and from which on a class looks attacked, in words, and the scores; nil where nothing was searched for.
        var search: (unit: String, scores: [Double])?
        var attacked: [Int], poisoned: [Int]
        var evidence: Evidence
    }

    /// What the bounds are fitted against.
    struct Evidence {
        var suspects: [(image: Int, target: Int)] = []
        /// Images of suspect classes that may be poisoned, and, where anything was found, those that were distrusted before the first round.
        var doubtful: [Int] = []
        /// Suspects that are evidence.
        var witnesses: [(image: Int, target: Int)] = []
        /// Of the search, those whose class looks attacked and has no suspects.
        var candidates: [Int] = []
        /// What was found of the triggers, to be added to the network's input, and the class that each leads to. A class has either
        /// suspects or candidates.
        var triggers: [(target: Int, overlay: Overlay)] = []
        var isEmpty: Bool { suspects.isEmpty && candidates.isEmpty }
    }

    private func suspicion(_ activations: Activations, _ optimizer: BoundOptimizer, _ context: DefenseContext) -> Suspicion {
        let screen = optimizer.screen().verdicts, classes = activations.classes
        let poisoned = (0..<classes).filter { !screen[$0].suspects.isEmpty }, triggers = optimizer.triggers
        if poisoned.isEmpty { optimizer.search(updates: updates(classes), initial: context.initial) }
        let standingOut = triggers.standingOut                                      // none without a search
        func images(_ of: KeyPath<Screen.Verdict, [Int]>) -> [(image: Int, target: Int)] {
            poisoned.flatMap { target in screen[target][keyPath: of].map { (image: $0, target: target) } }.sorted { $0.image < $1.image }
        }
        var evidence = Evidence(suspects: images(\.suspects), doubtful: images(\.doubtful).map(\.image), witnesses: images(\.witnesses))
        evidence.candidates = standingOut.flatMap(triggers.found)
        evidence.triggers = poisoned.compactMap { target in screen[target].overlay.map { (target, $0) } }
            + evidence.candidates.map { (triggers.candidates[$0].target, Overlay(adding: triggers.perturbations[$0])) }
        if !evidence.isEmpty {
            evidence.doubtful = Set(evidence.doubtful + context.distrusted).subtracting(evidence.suspects.map(\.image)).sorted()
        }
        return Suspicion(screen: screen.map(\.score), search: poisoned.isEmpty ? (triggers.unit, triggers.scoresOfClasses) : nil,
                         attacked: poisoned + standingOut, poisoned: poisoned, evidence: evidence)
    }

    private var batch: Int { keptInBatch + transplantedInBatch + suspectsInBatch }

    private func stepsOfFew(_ evidence: Evidence) -> Double {
        if evidence.isEmpty { return 0 }
        return evidence.suspects.isEmpty ? stepsAfterSearch : stepsWithSuspects
    }

    private func steps(_ images: Int, _ stepsOfFew: Double) -> Int {
        let images = Double(images), batch = Double(batch)
        return min(mostSteps, max(20, Int(max(epochs * images / batch, min(stepsOfFew, epochsOfFew * images / batch)))))
    }

    /// Steps of each perturbation in the search, 8 images each: 72 for up to 10 classes, fewer for more, at least 12.
    private func updates(_ classes: Int) -> Int { min(72, max(12, 720 / classes)) }

    public func plannedPasses(_ images: Int) -> Double {
        plannedPassesOfInvestigation(images) + Double(steps(images, stepsWithSuspects) * batch) * 2 / 3
    }

    func plannedPassesOfInvestigation(_ images: Int) -> Double {
        guard screens else { return Double(images) / 3 }
        let scan = 3_000.0   // 5,000 on colour images
        return Double(images) * 4 / 3 + 2_000 + scan + Double(updates(10) * 10 * 16) * 2 / 3
    }

    /// What screen and search say.
    static func audit(_ found: Investigation) -> [Finding] {
        guard let suspicion = found.suspicion else { return [] }
        let evidence = suspicion.evidence
        let audit = [
            Finding("class that looks attacked", list(suspicion.attacked)),
            finding(poisoned: suspicion.poisoned),
            Finding("FM images set aside", "\(evidence.suspects.count) of \(found.activations.count), \(evidence.witnesses.count) of them evidence; \(evidence.doubtful.count) more not used"),
        ]
        guard suspicion.screen.count <= classesListed else { return audit }
        let search = suspicion.search.map { search in
            Finding("trigger search per class (\(search.unit): attacked)", search.scores.map { fixed($0, 1) }.joined(separator: " "))
        } ?? Finding("trigger search", "not needed: the FM data look poisoned")
        return audit + [search] + finding(screen: suspicion.screen)
    }

    static func finding(poisoned: [Int]) -> Finding { Finding("class whose FM images look poisoned", list(poisoned)) }

    /// As many classes as people read: of more, scores are not listed.
    private static let classesListed = 20

    static func finding(screen: [Double?]) -> [Finding] {
        guard screen.count <= classesListed else { return [] }
        return [Finding("screen per class (from \(fixed(Screen.poisonedFrom, 2)): poisoned)", screen.map { $0.map { fixed($0, 2) } ?? "-" }.joined(separator: " "))]
    }

    private static func list(_ classes: [Int]) -> String { classes.isEmpty ? "none" : classes.map(String.init).joined(separator: " ") }

    static let saysOneClass = Finding("bounds left where they start", "the model puts all FM images into one class")

    private func outcome(_ fitted: BoundOptimizer.Fitted) -> [Finding] {
        [Finding("agreement on FM images kept", fixed(fitted.agreement, 3))] + (fitted.stayed.map { share in
            [Finding("suspects that stay in their class", fixed(share, 3) + (stayed < 1 ? ", wanted at most \(fixed(stayed, 2))" : ""))]
        } ?? [])
    }

    private func tightness(_ bounds: Bounds, _ start: [Float]) -> [Finding] {
        bounds.network.layers.map { layer in
            let ratios = bounds.network.bounds(of: layer).map { start[$0] > 0 ? bounds.buffer.base[$0] / start[$0] : 1 }
            let tight = ratios.filter { $0 < 0.5 }.count
            return Finding("\(layer.name): bound / start, median", "\(fixed(Double(quantile(0.5, ratios)), 2)), \(tight) of \(ratios.count) below half")
        }
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
