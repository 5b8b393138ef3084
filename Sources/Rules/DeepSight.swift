import Datasets
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// DeepSight (Rieger, Nguyen, Miettinen, Sadeghi 2022). With P classes and the output layer's weights w and biases b:
///
/// 1. energy E_c = |db_c| + sum_h |dw_ch| of the update, NEUP_c = E_c^2 / sum E^2; threshold exceedings TE = number of
///    NEUP_c above max(0.01, 1/P) max NEUP; a client is suspicious when TE <= median(TE) / 2;
/// 2. DDif_c = mean over random images of softmax(W_i)_c / softmax(G)_c, for three draws of images;
/// 3. HDBSCAN on the cosine distances of db, on NEUP, and on each DDif (Euclidean); distance 0 within a label and 1
///    between labels, averaged over the draws of DDif, then over the three; HDBSCAN on that;
/// 4. a cluster is accepted when its share of suspicious clients is BELOW 1/3; noise points are clusters of their own;
/// 5. S = median of ||D_i|| over ALL clients; accepted updates are clipped to norm S; mean.
///
/// 20,000 images a draw as published, 500 by default. HDBSCAN as in published code: min samples 1, a single cluster allowed,
/// the package's min cluster size 5, but n / 4 (at least 2) in rounds of fewer than 20 clients, where 5 would merge all.
public struct DeepSight: AggregationRule {
    public static let name = "deepsight"
    public static var scope: RuleScope { .oneShape }
    static let draws = 3
    /// Random images in a draw.
    public var images: Int

    public static let images = Setting(
        "deepsight-images", default: 500, in: .count(from: 1), value: "n",
        help: "Random images in each of its three draws; 20000 as published.")
    public static let settings: [any AnySetting] = [images]

    public init() { self.init(Settings()) }

    public init(_ settings: Settings) { images = settings[Self.images] }

    public func serverPasses(clients n: Int, rootPasses: Double) -> Double { Double(Self.draws * images * (n + 1)) / 3 }

    public func combine(_ global: Parameters, _ updates: [ClientUpdate], _ context: inout RuleContext) throws -> Aggregate {
        guard let server = context.server else { throw DefenseError.needsServer(rule: Self.name) }
        let models = updates.map(\.parameters)
        let layers = models.map { OutputUpdate($0, global) }
        let suspicious = Self.suspicious(layers.map(\.exceedings))
        let ddif = (0..<Self.draws).map { draw in
            divisionDifferences(
                models, global, server, RandomImages(side: server.side, draw: draw, count: images, context), threads: context.threads)
        }
        let accepted = Self.accepted(clusters(layers, ddif), suspicious)
        return clippedMean(global, updates, admitted: accepted, threads: context.threads).aggregate
    }

    /// TE <= median / 2.
    static func suspicious(_ exceedings: [Int]) -> [Bool] {
        let boundary = median(exceedings.map(Double.init)) / 2
        return exceedings.map { Double($0) <= boundary }
    }

    /// Positions of the clients in clusters with a suspicious share below 1/3.
    static func accepted(_ labels: [Int], _ suspicious: [Bool]) -> [Int] {
        labels.indices.filter { i in
            let members = labels[i] < 0 ? [i] : labels.indices.filter { labels[$0] == labels[i] }
            return 3 * members.filter { suspicious[$0] }.count < members.count
        }
    }

    private func clusters(_ layers: [OutputUpdate], _ ddif: [[[Double]]]) -> [Int] {
        let n = layers.count
        let cluster = HDBSCAN(minClusterSize: min(5, n / 4), minSamples: 1, allowSingleCluster: true)
        func apart(_ distances: [[Double]]) -> [[Double]] {
            let labels = cluster.labels(distances)
            return labels.map { a in labels.map { a == $0 ? 0 : 1 } }
        }
        let biases = layers.map(\.bias), products = biases.map { a in biases.map { dot(a, $0) } }
        let byBias = apart(cosineDistances(cosines(products))), byEnergy = apart(euclidean(layers.map(\.energies)))
        let byDraw = ddif.map { apart(euclidean($0)) }
        return cluster.labels(
            (0..<n).map { i in
                (0..<n).map { j -> Double in
                    let drawn = byDraw.reduce(0.0) { $0 + $1[i][j] } / Double(byDraw.count)
                    return (drawn + byEnergy[i][j] + byBias[i][j]) / 3
                }
            })
    }

    /// DDif (client, class).
    private func divisionDifferences(
        _ models: [Parameters], _ global: Parameters, _ server: RuleServer, _ images: RandomImages, threads: Int
    ) -> [[Double]] {
        let classes = global.network.classes
        var sums = models.map { _ in [Double](repeating: 0, count: classes) }
        for first in stride(from: 0, to: images.count, by: RandomImages.atOnce) {
            let n = min(RandomImages.atOnce, images.count - first), floats = global.network.inputFloats
            let inputs = images.inputs(first, n, server.normalization, floats, threads: threads)
            let load = { (i: Int, x: UnsafeMutablePointer<Float>) in x.update(from: inputs.base + i * floats, count: floats) }
            let reference = logProbabilities(server.logits(global, n, load), classes)
            for (client, model) in models.enumerated() {
                let own = logProbabilities(server.logits(model, n, load), classes)
                for c in 0..<classes {
                    // A ratio beyond e^300 says no more, and its square is still finite.
                    sums[client][c] = stride(from: c, to: own.count, by: classes).reduce(sums[client][c]) {
                        $0 + Mathematics.exp(min(300, own[$1] - reference[$1]))
                    }
                }
            }
        }
        return sums.map { $0.map { $0 / Double(images.count) } }
    }

    private func logProbabilities(_ logits: [Float], _ classes: Int) -> [Double] {
        stride(from: 0, to: logits.count, by: classes).flatMap { first -> [Double] in
            let row = logits[first..<first + classes].map(Double.init), top = row.max() ?? 0
            let logSum = top + Mathematics.log(row.reduce(0) { $0 + Mathematics.exp($1 - top) })
            return row.map { $0 - logSum }
        }
    }
}

/// What an update does to the output layer.
private struct OutputUpdate {
    /// db.
    let bias: [Double]
    /// NEUP; all 0 where nothing changed.
    let energies: [Double]
    /// TE.
    let exceedings: Int

    init(_ model: Parameters, _ global: Parameters) {
        let classes = model.network.classes
        func change(_ name: String) -> [Double] {
            model.network.tensors.filter { $0.name == name }.flatMap { tensor in
                zip(model.canonical(tensor), global.canonical(tensor)).map { Double($0) - Double($1) }
            }
        }
        let db = change("fc2/bias"), dw = change("fc2/weight"), inputs = dw.count / classes
        let squares = (0..<classes).map { c -> Double in
            let energy = dw[c * inputs..<(c + 1) * inputs].reduce(abs(db[c])) { $0 + abs($1) }
            return energy * energy
        }
        let total = squares.reduce(0, +), normalized = squares.map { total > 0 ? $0 / total : 0 }
        let threshold = max(0.01, 1 / Double(classes)) * (normalized.max() ?? 0)
        bias = db
        energies = normalized
        exceedings = normalized.filter { $0 > threshold }.count
    }
}

/// Images of uniform noise in [0, 1), each from a stream of its own: any thread may load any of them.
private struct RandomImages {
    let side: Int, draw: Int, count: Int
    let seed: UInt64, round: Int

    init(side: Int, draw: Int, count: Int, _ context: RuleContext) {
        self.side = side
        self.draw = draw
        self.count = count
        seed = context.seed
        round = context.round
    }

    /// Images whose inputs are in memory at once: 28 MB of three channels.
    static let atOnce = 2_000

    /// Network inputs of `n` images from `first` on, each of so many floats: made once for all models.
    func inputs(_ first: Int, _ n: Int, _ normalization: Normalization, _ floats: Int, threads: Int) -> FloatBuffer {
        let inputs = FloatBuffer(n * floats)
        parallel(n, threads: threads) { i, _ in load(first + i, normalization, into: inputs.base + i * floats) }
        return inputs
    }

    private func load(_ i: Int, _ normalization: Normalization, into x: UnsafeMutablePointer<Float>) {
        var stream = RandomStream(seed: seed, purpose: "deepsight images \(draw)", round: round, client: i)
        let pixels = (0..<normalization.mean.count * side * side).map { _ in Float(stream.uniform()) }
        pixels.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            normalization.write(base, side: side, to: x)
        }
    }
}

private func euclidean(_ rows: [[Double]]) -> [[Double]] {
    rows.map { a in rows.map { b in zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot() } }
}
