import Attacks
import DefenseInterface
import Network
import Numerics
import Options

/// The federation vouches for the FM labels: models of clients that never saw the FM data say what they take each image for. Nothing is
/// asked of a trigger, so it may look like anything: poison is a wrong label, whatever the image carries.
///
/// Before the initialisation clients train for `rounds` rounds without the FM data. Then their models vote: `Votes` has how much the federation's opinion of FM image i
/// stands out for class y, r_i(y).
///
/// An image of class y has a large r_i(y). The label l of image i is right, or it is wrong and the image shows another class, whichever:
///
///     p_i  =  e_l o_i / (e_l o_i + (1 - e_l) r_i(l)),      o_i  =  mean over y other than l of r_i(y)
///     e_l  =  mean over i with label l of p_i
///
/// p_i is the probability that label i is wrong, e_l the part of wrong labels in class l; the two lines are repeated until e stands
/// still (expectation maximisation). In a class without wrong labels e_l falls to 0, and all of them are trusted, those too that the federation
/// would not have guessed. Of any other class those labels are trusted that are rather right than wrong, the likeliest first, as many as
/// leave one in a hundred of them wrong; of a class where most labels are wrong none, since an attacker who fills a class also puts his
/// trigger on images that belong there.
///
/// Images whose label is not trusted are not used, from the initialisation on. Trust is not weighed anew later: models that have learned
/// from the FM data say what these taught them.
///
/// Source: ours. Its estimate of e is that of a mixture of two known distributions.
public struct Vouching: Sendable {
    public static let name = "vouching"
    public static let rounds = Setting("vouching-rounds", default: 1, in: .count(from: 1), value: "n",
                                       help: "Rounds before the initialisation, without the FM data.")
    public static let epochs = Setting("vouching-epochs", default: 5, in: .count(from: 1), value: "n",
                                       help: "How many times as many epochs clients train in these rounds.")
    public static let settings: [any AnySetting] = [rounds, epochs]
    /// So many FM images it needs at least.
    public static let leastImages = 50

    private let labels: [Int]
    /// p, (images): the probability that a label is wrong.
    public private(set) var wrong: [Double]
    /// e, (classes): the part of a class's labels that are wrong; 0 for a class without labels.
    public private(set) var wrongParts: [Double]
    /// Whether each label is trusted.
    public let trusted: [Bool]

    /// - Parameters:
    ///   - ratios: (images, classes), above 0: r, as in `Votes`.
    ///   - labels: of the images, below `classes`, of which there are 2 or more.
    public init(ratios: [Double], labels: [Int], classes: Int) {
        precondition(ratios.count == labels.count * classes && classes > 1)
        self.labels = labels
        let counts = Self.counts(labels, classes)
        let right = labels.indices.map { ratios[$0 * classes + labels[$0]] }
        let other = labels.indices.map { (ratios[$0 * classes..<($0 + 1) * classes].reduce(0, +) - right[$0]) / Double(classes - 1) }
        wrong = [Double](repeating: 0, count: labels.count)
        wrongParts = counts.map { $0 > 0 ? DetectionSettings.wrongAtFirst : 0 }
        for _ in 0..<DetectionSettings.mostRepetitions {
            var sums = [Double](repeating: 0, count: classes)
            for (i, label) in labels.enumerated() {
                let bad = wrongParts[label] * other[i], good = (1 - wrongParts[label]) * right[i]
                wrong[i] = bad / (bad + good)
                sums[label] += wrong[i]
            }
            let next = zip(sums, counts).map { $0 / Double(max(1, $1)) }, moved = zip(next, wrongParts).reduce(0) { max($0, abs($1.0 - $1.1)) }
            wrongParts = next
            if moved <= DetectionSettings.still { break }
        }
        trusted = Self.trusted(wrong, labels, wrongParts)
    }

    private static func counts(_ labels: [Int], _ classes: Int) -> [Int] {
        labels.reduce(into: [Int](repeating: 0, count: classes)) { $0[$1] += 1 }
    }

    /// Of each class, of whose labels these parts are wrong, the labels that are wrong with the least probability, `wrong` (images), as many as
    /// leave `wrongAtMost` of them wrong; none that is rather wrong than right, and none of a class with more wrong labels than right ones.
    private static func trusted(_ wrong: [Double], _ labels: [Int], _ parts: [Double]) -> [Bool] {
        var trusted = [Bool](repeating: false, count: labels.count), sums = [Double](repeating: 0, count: parts.count), counts = sums
        for i in labels.indices.sorted(by: { (wrong[$0], $0) < (wrong[$1], $1) }) {
            let label = labels[i]
            guard parts[label] < 0.5, wrong[i] < 0.5, sums[label] + wrong[i] <= DetectionSettings.wrongAtMost * (counts[label] + 1) else { continue }
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

    /// How many labels are not trusted, and what part of each class's labels the federation takes to be wrong.
    public var audit: [Finding] {
        let findings = [Finding("FM labels that are not trusted", "\(distrusted.count) of \(labels.count)")]
        guard wrongParts.count <= DetectionSettings.classesListed else { return findings }
        return findings + [Finding("part of each class's labels that is wrong", wrongParts.map { fixed($0, 2) }.joined(separator: " "))]
    }
}
