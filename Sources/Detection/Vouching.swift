import Attacks
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// The federation vouches for the FM labels: models of clients that never saw the FM data say what they take each image for. Nothing is
/// asked of a trigger, so it may look like anything: poison is a wrong label, whatever the image carries.
///
/// In the first `rounds` rounds the FM data have no part in the training. The mean logits of the clients' models at the end of the last of
/// them give an opinion v_i(y) of FM image i, and its label l_i is weighed against it:
///
///     q_i(y)  is proportional to  v_i(y) T(y, l_i)          what image i is believed to show
///     T(y, l) = sum over i with l_i = l of q_i(y)  /  sum over all i of q_i(y)      how often an image of y carries the label l
///
/// T starts near the identity, and the two lines are repeated until T stands still (expectation maximisation). So a label that the
/// federation only doubts stays likely, one that it contradicts does not, and the more images of y carry a wrong l, the more is asked of the
/// others. Of each class those labels are trusted that are rather right than wrong, the likeliest first, as many as leave at most 5 % of
/// them wrong, by q.
///
/// Images whose label is not trusted are not used, from the initialisation on, which comes at the end of these rounds. Trust is not weighed
/// anew later: models that have learned from the FM data say what these taught them.
///
/// Source: the estimate of T is that of Dawid and Skene (1979) with one annotator. To ask it of a federation before it trusts its FM data
/// is ours.
public struct Vouching: Sendable {
    public static let name = "vouching"
    public static let rounds = Setting("vouching-rounds", default: 1, in: .count(from: 1), value: "n",
                                       help: "First rounds, which do without the FM data.")
    public static let epochs = Setting("vouching-epochs", default: 5, in: .count(from: 1), value: "n",
                                       help: "How many times as many epochs clients train in these rounds.")
    public static let settings: [any AnySetting] = [rounds, epochs]
    /// So many FM images it needs at least.
    public static let leastImages = 50

    /// The part of wrong labels among the trusted ones of a class, by q, at most. A large trigger is planted by a tenth of a class, and a
    /// federation that takes two images in five for what they are (CIFAR-10 after a round) must still leave most right labels trusted.
    static let wrongAtMost = 0.05

    /// The part of every opinion that is spread over all classes: the federation errs, however sure it is.
    static let doubt = 0.01
    /// The part of wrong labels that T starts from. From 0.01 and 0.3 it came to the same T, within 0.003, on
    /// opinions of five federations.
    static let wrongAtFirst = 0.1
    /// T stands still when no entry moves by more, or after so many repetitions.
    static let still = 1e-6, mostRepetitions = 200

    private let labels: [Int], classes: Int
    /// v and q, (images, classes): what each image looks like, and what it is believed to show; each row sums to 1.
    public let opinions: [Double], beliefs: [Double]
    /// T, (classes, classes): of images that show y, the part that carries the label l; a row for each y.
    public let mislabelling: [Double]
    /// Whether each label is trusted.
    public let trusted: [Bool]

    /// - Parameters:
    ///   - logits: (images, classes), finite: the federation's on the FM images.
    ///   - labels: of the images, below `classes`.
    public init(logits: [Float], labels: [Int], classes: Int) {
        precondition(logits.count == labels.count * classes)
        (self.labels, self.classes) = (labels, classes)
        let opinions = Self.opinions(logits, classes)
        var t = (0..<classes * classes).map { $0 / classes == $0 % classes ? 1 - Self.wrongAtFirst : Self.wrongAtFirst / Double(max(1, classes - 1)) }
        var q = opinions
        for _ in 0..<Self.mostRepetitions {
            Self.believe(&q, opinions, labels, t, classes)
            let next = Self.mislabelling(q, labels, t, classes)
            let moved = zip(next, t).reduce(0) { max($0, abs($1.0 - $1.1)) }
            t = next
            if moved <= Self.still { break }
        }
        Self.believe(&q, opinions, labels, t, classes)
        (self.opinions, beliefs, mislabelling) = (opinions, q, t)
        trusted = Self.trusted(labels.indices.map { 1 - q[$0 * classes + labels[$0]] }, labels, classes)
    }

    /// Of each class, those that are wrong with the least probability, `wrong` (images), as many as leave `wrongAtMost` of
    /// them wrong; none that is rather wrong than right.
    private static func trusted(_ wrong: [Double], _ labels: [Int], _ classes: Int) -> [Bool] {
        var trusted = [Bool](repeating: false, count: labels.count), sums = [Double](repeating: 0, count: classes), counts = sums
        for i in labels.indices.sorted(by: { (wrong[$0], $0) < (wrong[$1], $1) }) {
            let label = labels[i]
            guard wrong[i] < 0.5, sums[label] + wrong[i] <= wrongAtMost * (counts[label] + 1) else { continue }
            (trusted[i], sums[label], counts[label]) = (true, sums[label] + wrong[i], counts[label] + 1)
        }
        return trusted
    }

    /// Throws `DefenseError` where the FM data of `file` do not allow it.
    public static func check(_ samples: Samples, for network: ClampNet, in file: String? = nil) throws {
        try checkImages(samples, network, atLeast: leastImages, for: name, in: file)
    }

    /// Images whose label is not trusted, ascending.
    public var distrusted: [Int] { labels.indices.filter { !trusted[$0] } }

    /// How many labels are not trusted, and what part of each class's.
    public var audit: [Finding] {
        let findings = [Finding("FM labels that are not trusted", "\(distrusted.count) of \(labels.count)")]
        guard classes <= Self.classesListed else { return findings }
        var all = [Int](repeating: 0, count: classes), doubtful = all
        for (i, label) in labels.enumerated() {
            all[label] += 1
            if !trusted[i] { doubtful[label] += 1 }
        }
        let shares = zip(doubtful, all).map { Double($0) / Double(max(1, $1)) }
        return findings + [Finding("part of each class's labels that is not trusted", shares.map { fixed($0, 2) }.joined(separator: " "))]
    }

    /// As many classes as people read.
    private static let classesListed = 20

    /// q from v and T.
    private static func believe(_ q: inout [Double], _ opinions: [Double], _ labels: [Int], _ t: [Double], _ classes: Int) {
        for (i, label) in labels.enumerated() {
            let row = i * classes
            var sum = 0.0
            for y in 0..<classes {
                q[row + y] = opinions[row + y] * t[y * classes + label]
                sum += q[row + y]
            }
            for y in 0..<classes { q[row + y] = sum > 0 ? q[row + y] / sum : opinions[row + y] }
        }
    }

    /// T from q; what no image shows keeps its row.
    private static func mislabelling(_ q: [Double], _ labels: [Int], _ t: [Double], _ classes: Int) -> [Double] {
        var counts = [Double](repeating: 0, count: classes * classes)
        for (i, label) in labels.enumerated() {
            for y in 0..<classes { counts[y * classes + label] += q[i * classes + y] }
        }
        return (0..<classes).flatMap { y -> [Double] in
            let row = counts[y * classes..<(y + 1) * classes], sum = row.reduce(0, +)
            return sum > 0 ? row.map { $0 / sum } : Array(t[y * classes..<(y + 1) * classes])
        }
    }

    /// v: the softmax of the logits, with doubt.
    private static func opinions(_ logits: [Float], _ classes: Int) -> [Double] {
        stride(from: 0, to: logits.count, by: classes).flatMap { first -> [Double] in
            let row = logits[first..<first + classes], top = row.max() ?? 0
            let powers = row.map { Mathematics.exp(Double($0) - Double(top)) }, sum = powers.reduce(0, +)
            return powers.map { (1 - doubt) * $0 / sum + doubt / Double(classes) }
        }
    }
}
