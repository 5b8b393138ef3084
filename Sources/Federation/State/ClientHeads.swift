import Datasets
import Network
import Options
import Tensor

/// Which head each client's network has: heterogeneous clients. Text form: a list of heads that the clients take in turn, as in
/// "none,2x192,3x256", or "drawn".
///
/// Source: Bi and Li, arXiv 2410.17573, table II, and the attack paper, arXiv 2401.10375.
public enum ClientHeads: Equatable, Sendable {
    /// Client i has the head at i modulo their number.
    case inTurn([Head])
    /// Each client draws one to three pairs and a width, once: the paper's clients.
    case drawn

    /// Most heads of a list.
    static let most = 100

    func head(of client: Int, seed: UInt64) -> Head {
        switch self {
        case .inTurn(let heads): return heads[client % heads.count]
        case .drawn:
            var stream = RandomStream(seed: seed, purpose: "head", client: client)
            return Self.paper[min(Self.paper.count - 1, Int(stream.uniform() * Double(Self.paper.count)))]
        }
    }

    /// The nine heads of the paper's clients.
    private static let paper = Head.all.filter { $0.pairs > 0 }
}

extension ClientHeads: SettingValue {
    public static let expected =
        "drawn, or heads that the clients take in turn: none or PAIRSxWIDTH with 1 to 3 pairs and a width of "
        + "128, 192 or 256, for example 1x128,2x192,3x256"

    public init?(text: String) {
        if text == "drawn" { self = .drawn; return }
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let heads = parts.compactMap { try? Head($0) }
        guard heads.count == parts.count, (1...Self.most).contains(heads.count) else { return nil }
        self = .inTurn(heads)
    }

    public var text: String {
        switch self {
        case .inTurn(let heads): heads.map(\.description).joined(separator: ",")
        case .drawn: "drawn"
        }
    }
}
