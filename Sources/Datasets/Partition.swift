import Options
import Tensor

/// How training images are dealt to clients.
public enum Partition: Hashable, Sendable, CustomStringConvertible {
    /// Equal shares drawn at random.
    case iid
    /// For each class, the clients' shares of it are drawn from a symmetric Dirichlet distribution with this concentration
    /// (Hsu et al. 2019, arXiv 1909.06335; per class as in Yurochkin et al. 2019). Smaller is more skewed.
    case dirichlet(Double)
    /// Images sorted by label are cut into equal pieces, and every client gets this many of them (McMahan et al. 2017).
    case shards(Int)
    /// Each client is one of the data set's own (`ImageSet.clients`), with all images of it.
    case natural

    /// "iid", "natural", "dirichlet:A" with 0 < A <= 1e6, or "shards:K" with 1 <= K <= 1000; nil for any other text.
    public init?(text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if parts == ["iid"] { self = .iid; return }
        if parts == ["natural"] { self = .natural; return }
        if parts.count == 2, parts[0] == "dirichlet", let a = Double(parts[1]), a > 0, a <= 1e6 { self = .dirichlet(a); return }
        if parts.count == 2, parts[0] == "shards", let k = Int(parts[1]), (1...1000).contains(k) { self = .shards(k); return }
        return nil
    }

    public var description: String {
        switch self {
        case .iid: return "iid"
        case .dirichlet(let a): return "dirichlet:" + (a == a.rounded() ? "\(Int(a))" : "\(a)")
        case .shards(let k): return "shards:\(k)"
        case .natural: return "natural"
        }
    }

    /// Draws that may leave a client without images before `split` gives up on a Dirichlet partition.
    static let mostDraws = 200

    /// Deals `indices` (distinct, into `labels`) to `clients` clients; the result depends on nothing but the arguments.
    ///
    /// - `iid`: all clients get the same number, so up to `clients` - 1 images are left over.
    /// - `dirichlet`: all images are dealt; a draw that leaves a client with none is drawn again, up to 200 times.
    /// - `shards`: all images are dealt; pieces differ by one image where the number does not divide.
    /// - `natural`: where there are more natural clients than `clients`, a random subset of them, in the order of their numbers.
    ///
    /// - Parameter owners: whose image each is, for `natural`.
    /// - Parameter imagesPerClient: when given, a client with more keeps a random subset of this size.
    /// - Returns: for each client its indices in ascending order, at least one; no index twice.
    /// - Throws: `argument` when there are too few images, or no draw gave every client one.
    public func split(
        labels: [UInt16], among indices: [Int], clients: Int, imagesPerClient: Int? = nil,
        owners: [UInt32]? = nil, seed: UInt64
    ) throws(DatasetError) -> [[Int]] {
        guard clients >= 1, imagesPerClient ?? 1 >= 1 else {
            throw .argument(
                what: "clients and images per client", expected: "at least 1 of each",
                got: "\(clients) and \(imagesPerClient ?? 1)")
        }
        let perClient = if case .shards(let k) = self { k } else { 1 }
        guard indices.count / perClient >= clients else {
            throw .argument(
                what: "partition \(self) over \(clients) clients",
                expected: "at least \(perClient) \(perClient == 1 ? "image" : "images") for each",
                got: "\(indices.count) in all")
        }
        var stream = RandomStream(seed: seed, purpose: "partition")
        var shares: [[Int]]
        switch self {
        case .iid: shares = iidShares(indices, clients, &stream)
        case .dirichlet(let a): shares = try dirichletShares(labels, indices, clients, concentration: a, &stream)
        case .shards(let k): shares = shardShares(labels, indices, clients, perClient: k, &stream)
        case .natural: shares = try naturalShares(owners, indices, clients, &stream)
        }
        for client in shares.indices {
            if let cap = imagesPerClient, shares[client].count > cap {
                stream.shuffle(&shares[client])
                shares[client].removeLast(shares[client].count - cap)
            }
            shares[client].sort()
        }
        return shares
    }

    private func naturalShares(_ owners: [UInt32]?, _ indices: [Int], _ clients: Int, _ stream: inout RandomStream) throws(DatasetError)
        -> [[Int]]
    {
        guard let owners else {
            throw .argument(
                what: "partition natural", expected: "a data set with /train/clients, which says whose image each is", got: "one without")
        }
        let byOwner = Dictionary(grouping: indices) { owners[$0] }.sorted { $0.key < $1.key }.map(\.value)
        guard clients <= byOwner.count else {
            throw .argument(
                what: "partition natural over \(clients) clients", expected: "at most as many as the data set has", got: "\(byOwner.count)",
                hint: "--clients \(byOwner.count)")
        }
        guard clients < byOwner.count else { return byOwner }
        return stream.permutation(byOwner.count).prefix(clients).sorted().map { byOwner[$0] }
    }

    private func iidShares(_ indices: [Int], _ clients: Int, _ stream: inout RandomStream) -> [[Int]] {
        let order = stream.permutation(indices.count), size = indices.count / clients
        return (0..<clients).map { client in order[client * size..<(client + 1) * size].map { indices[$0] } }
    }

    private func dirichletShares(
        _ labels: [UInt16], _ indices: [Int], _ clients: Int, concentration: Double, _ stream: inout RandomStream
    ) throws(DatasetError) -> [[Int]] {
        let byClass = Dictionary(grouping: indices) { labels[$0] }.sorted { $0.key < $1.key }.map(\.value)
        var smallest = 0, empty = clients
        for _ in 0..<Self.mostDraws {
            var shares = [[Int]](repeating: [], count: clients)
            for var members in byClass {
                stream.shuffle(&members)
                let proportions = Self.dirichlet(clients, concentration, &stream)
                var cumulative = 0.0, start = 0
                for client in 0..<clients {
                    cumulative += proportions[client]
                    let rounded = Int((cumulative * Double(members.count)).rounded())
                    let end = client == clients - 1 ? members.count : min(max(rounded, start), members.count)
                    shares[client] += members[start..<end]
                    start = end
                }
            }
            smallest = shares.map(\.count).min() ?? 0
            if smallest >= 1 { return shares }
            empty = min(empty, shares.filter(\.isEmpty).count)
        }
        throw .argument(
            what: "partition \(self) over \(clients) clients", expected: "at least one image for every client",
            got: "in each of \(Self.mostDraws) draws of \(indices.count) images, \(empty) or more clients with none",
            hint: "fewer clients, more images or a larger concentration")
    }

    /// Shares of `count` parts that sum to 1, from a symmetric Dirichlet distribution. Works on logarithms, since for a small
    /// concentration all Gamma(a) draws can be below the smallest double: Gamma(a) = Gamma(a + 1) U^(1/a).
    static func dirichlet(_ count: Int, _ concentration: Double, _ stream: inout RandomStream) -> [Double] {
        let logs = (0..<count).map { _ in
            Mathematics.log(stream.gamma(shape: concentration + 1)) + Mathematics.log(1 - stream.uniform()) / concentration
        }
        let largest = logs.max() ?? 0
        let weights = logs.map { Mathematics.exp($0 - largest) }, sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    private func shardShares(
        _ labels: [UInt16], _ indices: [Int], _ clients: Int, perClient: Int, _ stream: inout RandomStream
    ) -> [[Int]] {
        var order = indices
        stream.shuffle(&order)  // which images of a class share a piece is chance
        let position = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
        order.sort { (labels[$0], position[$0] ?? 0) < (labels[$1], position[$1] ?? 0) }
        let pieces = clients * perClient, dealt = stream.permutation(pieces)
        return (0..<clients).map { (client: Int) -> [Int] in
            dealt[client * perClient..<(client + 1) * perClient].flatMap { (piece: Int) -> ArraySlice<Int> in
                order[piece * order.count / pieces..<(piece + 1) * order.count / pieces]
            }
        }
    }
}

extension Partition: SettingValue {
    public static let expected =
        "iid, natural, dirichlet:A (0 < A <= 1e6) or shards:K (K from 1 to 1000), for example dirichlet:0.5"
    public var text: String { description }
}
