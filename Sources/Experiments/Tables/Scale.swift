import Federation
import Rules

/// A budget of image passes: the base configuration of every table's cells, and what the smallest scale leaves out.
public struct Scale: Sendable {
    public var name: String
    /// For people, one line.
    public var summary: String
    public var base: RunConfiguration
    /// Seeds 1 to this number.
    public var seeds: Int
    /// FM images when there is no file of them: training images that no client gets.
    public var holdout: Int
    /// Defences of the table `main`; nil for all.
    public var defenses: [String]?
    /// Attacks of the table `main`.
    public var attacks: [Attack]
    /// What it makes of the paper's protocol, and the rows and settings of the paper's tables; nil for all.
    let paper: PaperScale
    var paperRows: [String]?
    var paperSettings: [String]?
    /// Rows of a user's own methods.
    var own = OwnRows()
    /// What a sweep is made of.
    var grid = Grid()
    /// Heads of clients of several shapes; drawn in the paper.
    var paperHeads = ClientHeads.drawn
    /// Rules that the other tables compare with: two that end at the floor under the classic attack in `main`, scale quick,
    /// at no cost: one that selects by distance, one that clusters.
    public let baselines = ["multi-krum", "flame"]

    public static let all = [smoke, quick, study, paper]

    /// Those of `reproduce`, and that of sweeps.
    static func named(_ name: String) -> Scale? { (all + [sweep]).first { $0.name == name } }

    /// The defaults of `run` on all of the data, which the grid of a sweep changes.
    public static let sweep = Scale(
        name: "run", summary: "the defaults of run, 1 seed", base: RunConfiguration(), seeds: 1, holdout: 10_000, defenses: nil,
        attacks: Attack.allCases, paper: .published)

    /// Minutes on two cores: does the machinery work, and does the picture look right?
    public static let smoke: Scale = {
        var base = RunConfiguration()
        (base.clients, base.malicious, base.imagesPerClient, base.rounds) = (7, 2, 300, 3)  // 7: Multi-Krum needs 2f + 2 < n
        (base.syntheticLimit, base.evaluationLimit) = (1_000, 2_000)
        (base.batch, base.localEpochs, base.rate) = (32, 2, 0.05)  // few steps: they have to be large ones
        (base.fusionEpochs, base.fusionRate) = (3, 0.02)
        return Scale(
            name: "smoke", summary: "7 clients x 300 images, 3 rounds, 1,000 FM and 2,000 test images, 1 seed", base: base,
            seeds: 1, holdout: 1_000, defenses: ["none", "norm-clip", "multi-krum", "bounds", "multi-krum + vouching + bounds-unlearning"],
            attacks: [.none, .classic, .fm],
            paper: .reduced(
                images: 200, rounds: 3, epochs: 2, rate: 0.05, initial: 10, fusion: 3, synthetic: 1_000, evaluation: 1_000, local: 200),
            paperRows: ["none", "krum", "bounds-paper", "multi-krum + vouching + bounds-unlearning"], paperSettings: ["cross-silo, iid"],
            paperHeads: ClientHeads(text: "1x128,3x256") ?? .drawn)
    }()

    /// Under an hour on two cores for the table `main`.
    public static let quick: Scale = {
        var base = RunConfiguration()
        (base.imagesPerClient, base.rounds, base.batch, base.rate) = (400, 5, 32, 0.05)
        (base.syntheticLimit, base.evaluationLimit) = (2_000, 3_000)
        return Scale(
            name: "quick", summary: "10 clients x 400 images, 5 rounds, 2,000 FM and 3,000 test images, 1 seed", base: base,
            seeds: 1, holdout: 2_000, defenses: nil, attacks: Attack.allCases,
            paper: .reduced(
                images: 400, rounds: 5, epochs: 2, rate: 0.05, initial: 20, fusion: 2, synthetic: 2_000, evaluation: 3_000, local: 400))
    }()

    /// A night on two cores for the table `bounds`: models trained far enough, and several seeds.
    public static let study: Scale = {
        var base = RunConfiguration()
        (base.imagesPerClient, base.rounds, base.syntheticLimit) = (2_000, 8, 4_000)
        return Scale(
            name: "study", summary: "10 clients x 2,000 images, 8 rounds, 4,000 FM and all test images, 3 seeds", base: base,
            seeds: 3, holdout: 4_000, defenses: nil, attacks: Attack.allCases,
            paper: .reduced(
                images: 500, rounds: 8, epochs: 1, rate: 0.02, initial: 20, fusion: 2, synthetic: 2_000, evaluation: 4_000, local: 500))
    }()

    /// The product's defaults on all of the data: for a cluster.
    public static let paper: Scale = {
        var base = RunConfiguration()
        base[DeepSight.images] = 20_000
        return Scale(
            name: "paper", summary: "10 clients with all images, 20 rounds, all FM and test images, 3 seeds", base: base,
            seeds: 3, holdout: 10_000, defenses: nil, attacks: Attack.allCases,
            paper: .published)
    }()
}
