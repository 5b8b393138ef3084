import Attacks
import DefenseInterface
import Network

/// The defence before the first round: FM images that look poisoned are not used. The initialisation has taught a model the FM labels, a backdoor
/// among them, and `Screen` looks at that model, after each of its last epochs: how plainly a backdoor shows varies from one epoch to the next. A class
/// looks poisoned that does so in one of these looks, and comes to two thirds of the highest score: where a trigger covers the image, other classes
/// score, too. What is found, and what is doubtful, stays out of the initialisation, which starts again, with about as many steps, and out of fusion.
/// So a backdoor in the FM data is not planted in the first place; one that clients plant is no business of this defence.
public struct FMScreen: Sendable {
    public static let name = "screen"
    /// So many FM images it needs at least.
    public static let leastImages = 50
    /// Looks after so many epochs, the last ones.
    public static let looks = 3

    /// Of each class, that of the look at which it looked most poisoned.
    private var verdicts: [Screen.Verdict] = []
    private var images = 0

    public init() {}

    /// Throws `DefenseError` where the FM data of `file` cannot be screened.
    public static func check(_ samples: Samples, for network: ClampNet, in file: String? = nil) throws {
        try checkImages(samples, network, atLeast: leastImages, for: name, in: file)
    }

    /// - Parameter model: finite, trained on the FM data of `context` with their labels, which `check` allows.
    public mutating func look(_ model: Parameters, _ context: DefenseContext) {
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        let activations = Activations(model, context.synthetic, predictor)
        let seen = Detector(model, context.synthetic, activations, predictor, context).screen().verdicts
        images = activations.count
        verdicts = verdicts.isEmpty ? seen : zip(verdicts, seen).map { ($1.score ?? 0) > ($0.score ?? 0) ? $1 : $0 }
    }

    /// Positions in the FM data, ascending, of images that look poisoned.
    public var suspects: [Int] { Set(poisoned.flatMap { verdicts[$0].suspects }).sorted() }
    /// These, and images that may be poisoned, or will be learnt late.
    public var distrusted: [Int] { Set(poisoned.flatMap { verdicts[$0].suspects + verdicts[$0].doubtful + verdicts[$0].strays }).sorted() }
    /// Classes that suspects lead to, ascending.
    public var poisoned: [Int] { TriggerSearch.standingOut(verdicts.map { $0.score ?? 0 }, from: Screen.poisonedFrom) }

    public var audit: [Finding] {
        [Investigation.finding(poisoned: poisoned),
         Finding("FM images that are not used", "\(distrusted.count) of \(images), \(suspects.count) of them suspects")]
            + Investigation.finding(screen: verdicts.map(\.score))
    }

    /// About how many passes the looks take, and the initialisation that starts again.
    public func plannedPasses(_ images: Int, epochs: Int) -> Double {
        Double(min(epochs, Self.looks)) * (Double(images) * 2 / 3 + 2_000) + Double(epochs * images)
    }
}
