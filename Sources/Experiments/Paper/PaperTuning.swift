import Defenses
import Federation
import Rules

/// The search for the settings that the paper's tables run the baselines with: as the paper says, those with the lowest attack success
/// whose accuracy falls by at most a tenth. On development images and seeds of its own (101, 102, ...), so that no figure of the tables
/// has a part in it. `PaperProtocol.tune` is what it came to (data/results/paper-tuning-cifar-10.md).
public struct PaperTuningTable: PaperTable {
    public static let name = "paper-tuning", numeral = "I"
    let `protocol`: PaperProtocol
    private typealias Row = (row: String, defense: String, change: @Sendable (inout RunConfiguration) -> Void)
    private let candidates: [Row]
    private let setting: PaperNovelAttack.Setting?
    private let attack: PaperNovelAttack

    public init(_ scale: Scale) {
        `protocol` = PaperProtocol(scale: scale)
        attack = PaperNovelAttack(scale)
        setting = attack.settings.first
        let limits = [0.1, 0.3, 1].map { limit -> Row in ("norm-clip \(limit)", NormClip.name, { $0[NormClip.limit] = limit }) }
        let noises = [0.0003, 0.001, 0.003].flatMap { noise in
            [0.3, 1].map { limit -> Row in
                (
                    "dp \(limit), noise \(noise)", DifferentialPrivacy.name,
                    {
                        ($0[DifferentialPrivacy.limit], $0[DifferentialPrivacy.noise]) = (limit, noise)
                    }
                )
            }
        }
        let deviations = [0.5, 1, 1.5, 2].map { delta -> Row in ("rfout \(delta)", RFOut.name, { $0[RFOut.deviations] = delta }) }
        candidates = [("none", FedAvg.name, { _ in })] + limits + noises + deviations
    }

    public var rows: [String] { candidates.map(\.row) }
    public var columns: [String] { setting.map { [$0.name] } ?? [] }
    public var measures: [Measure] { Measure.clientModels }
    public var legend: String {
        "ACC and ASR are means over clients of their own models: accuracy on local test sets, attack success on triggered images. drop: ACC "
            + "lost against none. Of the settings that lose at most 0.1, the paper's tables run the one with the lowest ASR. Protocol: "
            + deviations.enumerated().map { "(\($0 + 1)) \($1)" }.joined(separator: "; ") + "."
    }
    public var caption: String { "settings of the baselines, tried on development images" }

    public func cell(_ row: String, _ column: String, _ base: RunConfiguration) -> Cell? {
        guard let candidate = candidates.first(where: { $0.row == row }), let setting else { return nil }
        var c = attack.configuration(setting, base)
        (c.evaluateOn, c.seed) = (.dev, base.seed + 100)
        candidate.change(&c)
        return Cell(c, attack: .fm, defense: candidate.defense)
    }

    func place(_ column: String, _ defense: String, data: String) -> Printed.Place? { nil }
}
