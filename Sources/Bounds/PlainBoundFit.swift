import DefenseInterface
import Network

/// The fit as the paper's abstract describes it: fidelity on all FM data plus a penalty on the size of the bounds. No
/// screen, no evidence; z starts at the largest activations seen.
public struct PlainBoundFit: ModelDefense {
    public static let name = "bounds-plain"

    public init() {}

    public func plannedPasses(_ images: Int) -> Double { BoundFit().plannedPasses(images) }

    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        var fit = BoundFit()
        fit.screens = false
        fit.startQuantile = 1
        return try fit.apply(model, context)
    }
}
