import Attacks
import DefenseInterface
import Network
import Numerics

/// What was found about a model and its FM images: all that fits of bounds and unlearning know. Positions are those of FM images.
///
/// Its words: *suspects* are images that look poisoned; *witnesses* are those of them that leave their class when the trigger is taken off,
/// so that they show the backdoor and do not belong to the class by right; *doubtful* images are neither suspects nor sure to be clean, and
/// are not used; the others are *kept*.
package struct Evidence {
    package let activations: Activations
    package let suspects: [(image: Int, target: Int)]
    package let witnesses: [(image: Int, target: Int)]
    /// Where anything was found, also those that were not used in the training.
    package let doubtful: [Int]
    package let kept: [Int]
    /// What was found of the triggers, to be added to the network's input, and the class that each leads to.
    package let triggers: [(target: Int, overlay: Overlay)]
    /// Of classes that the search accuses, which the FM images do not: what turns images into these classes.
    package let perturbations: [Perturbation]
    /// Passes over images that it took.
    package let passes: Double
    /// Score of each class's images, nil for a class with too few of them; nil where nobody looked.
    let screened: [Double?]?
    /// nil where nobody searched: the images look poisoned, or nobody looked.
    let searched: FoundTriggers?

    package var isEmpty: Bool { suspects.isEmpty && perturbations.isEmpty }
}

/// Looks at a model and its FM images: for poisoned images, and where there are none for what clients planted.
/// - Parameters:
///   - model: finite; `context` has FM images that the defence can use.
///   - looks: false where the images only go through the model.
package func examine(_ model: Parameters, _ context: DefenseContext, looks: Bool = true) -> Evidence {
    let subject = Examined(model, context)
    guard looks else { return Evidence(subject, [], nil, 0) }
    let screen = Screen(subject), isPoisoned = screen.verdicts.contains { !$0.suspects.isEmpty }
    let search = isPoisoned ? nil : TriggerSearch.run(subject, initial: context.initial)
    return Evidence(subject, screen.verdicts, search?.found, Double(screen.forwards) / 3 + (search?.passes ?? 0))
}

extension Evidence {
    fileprivate init(_ subject: Examined, _ verdicts: [Screen.Verdict], _ searched: FoundTriggers?, _ passes: Double) {
        let poisoned = verdicts.indices.filter { !verdicts[$0].suspects.isEmpty }
        func images(_ of: KeyPath<Screen.Verdict, [Int]>) -> [(image: Int, target: Int)] {
            poisoned.flatMap { target in verdicts[target][keyPath: of].map { (image: $0, target: target) } }.sorted { $0.image < $1.image }
        }
        let suspects = images(\.suspects), suspected = Set(suspects.map(\.image)), perturbations = searched?.evidence ?? []
        let unused = suspects.isEmpty && perturbations.isEmpty ? [] : subject.context.distrusted
        let doubtful = Set(images(\.doubtful).map(\.image) + unused).subtracting(suspected)
        self.init(
            activations: subject.activations, suspects: suspects, witnesses: images(\.witnesses), doubtful: doubtful.sorted(),
            kept: (0..<subject.samples.count).filter { !suspected.contains($0) && !doubtful.contains($0) },
            triggers: poisoned.compactMap { target in verdicts[target].overlay.map { (target, $0) } }
                + perturbations.map { ($0.target, Overlay(adding: $0.values)) },
            perturbations: perturbations, passes: passes + Double(subject.samples.count) / 3,
            screened: verdicts.isEmpty ? nil : verdicts.map(\.score), searched: searched)
    }

    /// About how many passes `examine` takes.
    package static func plannedPasses(_ images: Int, looks: Bool = true) -> Double {
        guard looks else { return Double(images) / 3 }
        let scan = 3_000.0  // 5,000 on colour images
        let search = DetectionSettings.steps(10) * 10 * 2 * DetectionSettings.imagesPerPerturbation
        return Double(images) * 4 / 3 + 2_000 + scan + Double(search) * 2 / 3
    }

    /// Memory that it takes for so many FM images, beside a model: the pixel filter's.
    public static func bytes(_ network: ClampNet, images: Int) -> Int {
        4 * TriggerFilter.stride(network.inputFloats) * min(images, DetectionSettings.filteredImages)
    }

    // MARK: In words

    /// Positions of suspects, for an audit; nil where nobody looked.
    package var audited: [Int]? { screened == nil ? nil : suspects.map(\.image) }

    package var audit: [Finding] {
        guard let screened else { return [] }
        let poisoned = Set(suspects.map(\.target)).sorted()
        let audit = [
            Finding("class that looks attacked", Self.list(poisoned + (searched?.standingOut ?? []))),
            Finding("class whose FM images look poisoned", Self.list(poisoned)),
            Finding(
                "FM images set aside",
                "\(suspects.count) of \(activations.count), \(witnesses.count) of them evidence; \(doubtful.count) more not used"),
        ]
        guard screened.count <= DetectionSettings.classesListed else { return audit }
        let search =
            searched.map { search in
                Finding(
                    "trigger search per class (\(search.unit): attacked)",
                    search.scoresOfClasses.map { fixed($0, 1) }.joined(separator: " "))
            } ?? Finding("trigger search", "not needed: the FM data look poisoned")
        let scores = screened.map { $0.map { fixed($0, 2) } ?? "-" }.joined(separator: " ")
        return audit + [search, Finding("screen per class (from \(fixed(DetectionSettings.poisonedFrom, 2)): poisoned)", scores)]
    }

    private static func list(_ classes: [Int]) -> String { classes.isEmpty ? "none" : classes.map(String.init).joined(separator: " ") }
}
