import Bounds
import Federation
import Tensor

/// What a scale makes of the protocol.
struct PaperScale: Sendable {
    var change: @Sendable (inout RunConfiguration) -> Void
    /// For people; empty where it is the printed one.
    var deviation: String

    /// 10 clients with all images, 50 rounds of 5 epochs at 1e-3, 150 epochs of initialisation at 2e-3, 5 of fusion at 5e-4.
    static let published = PaperScale(
        change: { c in
            (c.imagesPerClient, c.rounds, c.localEpochs, c.rate) = (nil, 50, 5, 1e-3)
            (c.initialEpochs, c.initialRate, c.fusionEpochs, c.fusionRate) = (150, 2e-3, 5, 5e-4)
            (c.syntheticLimit, c.evaluationLimit) = (10_000, nil)
        }, deviation: "")

    /// Fewer images, rounds and epochs. `boundsRate` and `boundsFactor` are chosen so that the bounds can travel as far, and lambda
    /// change as much, as in the published 50 rounds of 5 passes over 10,000 images.
    static func reduced(
        images: Int, rounds: Int, epochs: Int, rate: Double, initial: Int, fusion: Int, synthetic: Int, evaluation: Int?,
        local: Int
    ) -> PaperScale {
        let published = 50.0 * 10_000 * 5e-4, here = Double(rounds * synthetic), factor = power(1.1, 50 / Double(rounds))
        return PaperScale(
            change: { c in
                (c.imagesPerClient, c.rounds, c.localEpochs, c.rate) = (images, rounds, epochs, rate)
                (c.initialEpochs, c.initialRate, c.fusionEpochs, c.fusionRate) = (initial, 0.02, fusion, 0.01)
                (c.syntheticLimit, c.evaluationLimit, c.localTestImages) = (synthetic, evaluation, local)
                c[PaperBounds.rate] = published / here
                c[PaperBounds.factor] = factor
            },
            deviation:
                "at this scale \(images) images a client, \(rounds) rounds of \(epochs) epochs at \(rate), \(initial) epochs of initialisation "
                + "at 0.02, \(fusion) of fusion at 0.01, \(synthetic) FM images; Algorithm 1 at rate \(Numbers.fixed(published / here, 4)) with factor "
                + "\(Numbers.fixed(factor, 2)), so that bounds and lambda can move as far as in the published rounds")
    }

    /// x to the power y, for x above 0.
    private static func power(_ x: Double, _ y: Double) -> Double { Mathematics.exp(y * Mathematics.log(x)) }
}
