import Bounds
import Datasets
import Federation
import Rules

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
