/// What `BoundOptimizer` goes by.
public struct BoundSettings: Sendable {
    /// Kept images in a batch, and beside them kept images under a trigger that was found, and suspects, or perturbed images for
    /// the classes that the search accuses; where nothing looks attacked kept images alone.
    public var keptInBatch = 64, transplantedInBatch = 16, suspectsInBatch = 16, perturbedInBatch = 16
    public var rate = 0.03
    public var evidenceWeight = 0.5
    /// What the pressure is steered to: the share of suspects that stay in their class (1: no pressure), and where there are none the
    /// agreement with the unbounded predictions on kept images.
    public var stayed = 0.05, agreement = 0.98
    /// Where fewer of the predictions on kept images are the unbounded ones the bounds go back to where the last ten steps that did better
    /// began, and the pressure is given up: suspects that no bounds can tell from other images would otherwise take the whole model with
    /// them.
    public var leastAgreement = 0.5
    /// One bound for all channels of a layer, from the largest start among them, instead of one a channel.
    public var perLayer = false
    /// Fidelity: the divergence of `BoundFit`, or else the mean squared error of the logits.
    public var comparesLogits = false
}
