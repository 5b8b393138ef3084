import Bounds
import Datasets
import Federation
import Rules
import Tensor

/// The protocol of Bi and Li as a preset: what the tables `paper-1` to `paper-3` and `paper-attack` train. Scale paper has the printed
/// numbers; smaller scales keep their shape with fewer images, rounds and epochs, and rates that make up for the fewer steps.
///
/// Source: arXiv 2410.17573 v3 and, where it refers to it, the attack paper arXiv 2401.10375 v3.
struct PaperProtocol: Sendable {
    /// Who takes part in a round.
    enum Participation: String, CaseIterable, Sendable { case crossSilo = "cross-silo", crossDevice = "cross-device" }

    let scale: Scale

    /// The published protocol on `base`, which carries the seed and names the data; cross-silo, IID, fm attack with the patch.
    func configuration(_ base: RunConfiguration) -> RunConfiguration {
        var c = base
        (c.fmPoisonDraw, c.fmPoisonFraction, c.labelWeight, c.temperature) = (.eachOtherClass, 0.2, 0.2, 1)
        c.evaluateClients = true
        Self.tune(&c)
        scale.paper.change(&c)
        return c
    }

    func configuration(_ base: RunConfiguration, _ participation: Participation, _ partition: String) -> RunConfiguration {
        var c = configuration(base)
        if participation == .crossDevice {
            c.imagesPerClient = c.imagesPerClient.map { max(20, $0 * c.clients / 100) }
            (c.clients, c.participation) = (100, 0.1)
        }
        if let parsed = Partition(text: partition) { c.partition = parsed }
        return c
    }

    /// The settings of the baselines that `paper-tuning` found (data/results/paper-tuning-cifar-10.md): no other had a lower attack
    /// success. None
    /// lowers it against FM data that are poisoned. The paper does not print those that it found.
    private static func tune(_ c: inout RunConfiguration) {
        c[NormClip.limit] = 1
        (c[DifferentialPrivacy.limit], c[DifferentialPrivacy.noise]) = (1, 0.0003)
        c[RFOut.deviations] = 0.5
    }

    /// The printed partitions.
    static let partitions = ["iid", "dirichlet:0.1"]

    /// Where our runs depart from the printed protocol; tables carry the list.
    var deviations: [String] {
        [
            "ClampNet (0.55 M parameters, no normalisation layers, gradients clipped to norm 5) stands for ResNet-18, and conv2, conv4, conv6 and "
                + "fc1 for the last layers of its four stages",
            "FM images are those of the file that the table names, not Dall-E's",
            "SGD with momentum 0.9 and batches of 64; the text names no optimiser",
            "a client's own model is the finished one after a last local training; a local test set is drawn from the public test images with "
                + "the client's class shares; the text leaves both open",
        ]
            + (scale.paper.deviation.isEmpty ? [] : [scale.paper.deviation])
    }

    /// The same for clients of several shapes.
    var deviationsOfShapes: [String] {
        [
            "krum, clip-cluster and sign-guard choose among all clients by their updates of the layers that all shapes have, and the chosen are averaged "
                + "within each shape; the other rules work within each shape; the text says neither"
        ]
            + (scale.paperHeads == .drawn ? [] : ["heads are \(scale.paperHeads.text) in turn, not drawn"])
    }
}

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
