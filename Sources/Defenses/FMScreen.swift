import Network

/// The defence before the first round: the labels of FM images that look poisoned are not used. The initialisation has taught a model the FM
/// labels, a backdoor among them, and `Screen` looks at that model. What it finds, and what is doubtful, stays out of the initialisation, which
/// starts again, and is taught in fusion by the clients' models alone, without its label: these never saw the trigger, and say what is below it.
/// So a backdoor in the FM data is not planted in the first place; one that clients plant is no business of this defence.
public struct FMScreen: Sendable {
    public static let name = "screen"

    public struct Outcome: Sendable {
        /// Positions in the FM data, ascending: images that look poisoned, and those that may be.
        public var suspects: [Int], doubtful: [Int]
        public var audit: [Finding]
        public var distrusted: [Int] { (suspects + doubtful).sorted() }
    }

    public init() {}

    /// What looks poisoned to `model`, trained on the FM data of `context` with their labels.
    /// - Throws: `DefenseError` for a model that is not finite, and FM data that say nothing.
    public func look(_ model: Parameters, _ context: DefenseContext) throws -> Outcome {
        try BoundFit.check(model, context.synthetic)
        let predictor = Predictor(model.network, kernels: context.kernels, threads: context.threads)
        let activations = Activations(model, context.synthetic, predictor)
        let verdicts = BoundOptimizer(model, context.synthetic, activations, predictor, context).screen().verdicts
        let suspects = verdicts.flatMap(\.suspects).sorted(), doubtful = verdicts.flatMap(\.doubtful).sorted()
        let poisoned = verdicts.indices.filter { !verdicts[$0].suspects.isEmpty }
        return Outcome(suspects: suspects, doubtful: doubtful, audit: [
            BoundFit.finding(poisoned: poisoned),
            Finding("FM images whose labels are not used", "\(suspects.count + doubtful.count) of \(activations.count), \(suspects.count) of them suspects"),
        ] + BoundFit.finding(screen: verdicts.map(\.score)))
    }

    /// About how many passes `look` takes, and the initialisation that starts again.
    public func plannedPasses(_ images: Int, epochs: Int) -> Double { Double(images) * (2.0 / 3 + Double(epochs)) + 2_000 }
}
