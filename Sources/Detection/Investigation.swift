import Attacks
import DefenseInterface
import Network
import Numerics

/// What is known of a model and its FM data before bounds are fitted or a trigger is unlearned.
package struct Investigation {
    package let activations: Activations
    package let detector: Detector
    /// FM images that are neither suspects nor doubtful.
    package let kept: [Int]
    /// nil where nobody looked.
    private let suspicion: Suspicion?
    package var evidence: Evidence { suspicion?.evidence ?? Evidence() }
    /// Positions of suspects; nil where nobody looked.
    package var suspects: [Int]? { suspicion?.evidence.suspects.map(\.image) }
    /// Passes over images so far.
    package var passes: Double { detector.passes + Double(activations.count) / 3 }

    /// Takes the FM images through the model, and with `screens` looks for poisoned images and triggers.
    /// - Parameter model: finite; `context` has FM images that the defence can use.
    package init(_ model: Parameters, _ context: DefenseContext, screens: Bool = true) {
        let samples = context.synthetic
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        activations = Activations(model, samples, predictor)
        detector = Detector(model, samples, activations, predictor, context)
        suspicion = screens ? Suspicion(activations, detector, context) : nil
        let out = Set((suspicion?.evidence.suspects ?? []).map(\.image) + (suspicion?.evidence.doubtful ?? []))
        kept = (0..<samples.count).filter { !out.contains($0) }
    }

    /// About how many passes the initialiser takes.
    package static func plannedPasses(_ images: Int, screens: Bool = true) -> Double {
        guard screens else { return Double(images) / 3 }
        let scan = 3_000.0   // 5,000 on colour images
        return Double(images) * 4 / 3 + 2_000 + scan + Double(Detector.updates(10) * 10 * 16) * 2 / 3
    }

    /// What screen and search say, in words.
    package var audit: [Finding] {
        guard let suspicion else { return [] }
        let evidence = suspicion.evidence
        let audit = [
            Finding("class that looks attacked", Self.list(suspicion.attacked)),
            Self.finding(poisoned: suspicion.poisoned),
            Finding("FM images set aside", "\(evidence.suspects.count) of \(activations.count), \(evidence.witnesses.count) of them evidence; "
                + "\(evidence.doubtful.count) more not used"),
        ]
        guard suspicion.screen.count <= Self.classesListed else { return audit }
        let search = suspicion.search.map { search in
            Finding("trigger search per class (\(search.unit): attacked)", search.scores.map { fixed($0, 1) }.joined(separator: " "))
        } ?? Finding("trigger search", "not needed: the FM data look poisoned")
        return audit + [search] + Self.finding(screen: suspicion.screen)
    }

    static func finding(poisoned: [Int]) -> Finding { Finding("class whose FM images look poisoned", list(poisoned)) }

    /// As many classes as people read: of more, scores are not listed.
    private static let classesListed = 20

    static func finding(screen: [Double?]) -> [Finding] {
        guard screen.count <= classesListed else { return [] }
        let scores = screen.map { $0.map { fixed($0, 2) } ?? "-" }.joined(separator: " ")
        return [Finding("screen per class (from \(fixed(Screen.poisonedFrom, 2)): poisoned)", scores)]
    }

    private static func list(_ classes: [Int]) -> String { classes.isEmpty ? "none" : classes.map(String.init).joined(separator: " ") }
}

/// What screen and search hold against the FM data.
private struct Suspicion {
    var screen: [Double?]
    /// What the scores are and from which on a class looks attacked, in words, and the scores; nil where nothing was searched for.
    var search: (unit: String, scores: [Double])?
    var attacked: [Int], poisoned: [Int]
    var evidence: Evidence

    init(_ activations: Activations, _ detector: Detector, _ context: DefenseContext) {
        let verdicts = detector.screen().verdicts, classes = activations.classes
        let poisoned = (0..<classes).filter { !verdicts[$0].suspects.isEmpty }, triggers = detector.triggers
        if poisoned.isEmpty { detector.search(updates: Detector.updates(classes), initial: context.initial) }
        let standingOut = triggers.standingOut                                      // none without a search
        func images(_ of: KeyPath<Screen.Verdict, [Int]>) -> [(image: Int, target: Int)] {
            poisoned.flatMap { target in verdicts[target][keyPath: of].map { (image: $0, target: target) } }.sorted { $0.image < $1.image }
        }
        evidence = Evidence(suspects: images(\.suspects), doubtful: images(\.doubtful).map(\.image), witnesses: images(\.witnesses))
        evidence.candidates = standingOut.flatMap(triggers.found)
        evidence.triggers = poisoned.compactMap { target in verdicts[target].overlay.map { (target, $0) } }
            + evidence.candidates.map { (triggers.candidates[$0].target, Overlay(adding: triggers.perturbations[$0])) }
        if !evidence.isEmpty {
            evidence.doubtful = Set(evidence.doubtful + context.distrusted).subtracting(evidence.suspects.map(\.image)).sorted()
        }
        screen = verdicts.map(\.score)
        search = poisoned.isEmpty ? (triggers.unit, triggers.scoresOfClasses) : nil
        (attacked, self.poisoned) = (poisoned + standingOut, poisoned)
    }
}
