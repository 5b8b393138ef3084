import Network
import Options

/// DP-FedAvg (McMahan, Ramage, Talwar and Zhang 2018, "Learning Differentially Private Recurrent Language Models",
/// arXiv 1710.06963, with a fixed clip), as a defence against backdoors ("weak DP" of Sun et al. 2019, arXiv
/// 1911.07963):
///
///     G + 1/n sum D_i / max(1, ||D_i|| / M) + N(0, s^2)
///
/// It is norm clipping with two differences: every client counts the same, so that none moves the mean by more than
/// M / n, whatever number of images it claims; and there is noise by default. In McMahan's terms the noise multiplier
/// is s n / M.
///
/// Defaults: M = 3 and s = 0.025, Sun's. On the 550 k parameters of this network s = 0.025 has norm 18: it costs much
/// accuracy, which the paper's tables spare by tuning. No privacy is claimed: clients get the model after fusion,
/// whose teachers are the clipped updates without noise.
public struct DifferentialPrivacy: StreamingRule {
    public static let name = "dp"
    /// M.
    public var limit: Double
    /// s.
    public var noise: Double

    public static let limit = Setting("dp-limit", default: 3.0, in: .positive, value: "norm", help: "Largest norm of an update.")
    public static let noise = Setting(
        "dp-noise", default: 0.025, in: .notNegative, value: "deviation",
        help: "Standard deviation of the noise on the mean update.")
    public static let settings: [any AnySetting] = [limit, noise]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) { (limit, noise) = (settings[Self.limit], settings[Self.noise]) }

    public func stream(_ global: Parameters, images: [Int], _ context: RuleContext) -> any UpdateStream {
        let equal = images.map { _ in 1 / Double(images.count) }
        return ClippedStream(global, equal, limit: limit, noise: noise, of: Self.name, context)
    }
}
