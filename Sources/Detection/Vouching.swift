import Attacks
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// The federation vouches for the FM labels: models of clients that never saw the FM data say what they take each image
/// for. Nothing is asked of a trigger, so it may look like anything: poison is a wrong label, whatever the image carries.
///
/// In the first `rounds` rounds the FM data have no part in the training. What the clients' models then say together of FM
/// image i, v_i(y), and its label l_i decide what the initialisation and every later fusion learn:
///
///   * a label is *contradicted* if v_i(l_i) < max v_i / 20. It is not used.
///   * a class is *accused* if more than 4 % of its labels are contradicted. Of such a class only labels are used that the
///     federation *affirms*, v_i(l_i) >= 0.9: a few poisoned images are enough to plant a trigger that covers the image.
///   * all other labels are used.
///
/// Images whose label is not used stay, and teach in fusion what the teachers say of them. Classes are accused once, by
/// models that never saw the FM data; labels are affirmed and contradicted anew in every round, as the federation gets
/// better. A wrong label that a class was accused for may be poison or noise; neither is wanted.
///
/// Source: ours. That a model trained without the poisoned data tells wrong labels is known from learning with noisy labels.
public struct Vouching: Sendable {
    public static let name = "vouching"
    public static let rounds = Setting("vouching-rounds", default: 1, in: .count(from: 1), value: "n",
                                       help: "First rounds, which do without the FM data.")
    public static let epochs = Setting("vouching-epochs", default: 5, in: .count(from: 1), value: "n",
                                       help: "How many times as many epochs clients train in these rounds.")
    public static let settings: [any AnySetting] = [rounds, epochs]
    /// So many FM images it needs at least.
    public static let leastImages = 50

    /// Thresholds, each a share; where they come from: data/results/vouching.md. Without poison at most 0.026 of a class's
    /// labels were contradicted, and of images that 2 % poison left with a wrong label two thirds.
    static let contradicted = 0.05, accusing = 0.04, affirmed = 0.9

    private let labels: [Int], classes: Int
    /// v, (images, classes).
    private let opinions: [Double]
    /// Classes of which only affirmed labels are used, ascending.
    public let accused: [Int]

    /// - Parameters:
    ///   - logits: (images, classes), finite: the federation's on the FM images.
    ///   - labels: of the images, below `classes`.
    ///   - accused: in an earlier round; nil: these are the models that accuse.
    public init(logits: [Float], labels: [Int], classes: Int, accused: [Int]? = nil) {
        precondition(logits.count == labels.count * classes)
        let opinions = Self.softmax(logits, classes)
        (self.labels, self.classes, self.opinions) = (labels, classes, opinions)
        self.accused = accused ?? Self.shares(labels, classes) { Self.contradicts(opinions, $0, labels[$0], classes) }.enumerated()
            .filter { $0.element > Self.accusing }.map(\.offset)
    }

    /// Throws `DefenseError` where the FM data of `file` do not allow it.
    public static func check(_ samples: Samples, for network: ClampNet, in file: String? = nil) throws {
        try checkImages(samples, network, atLeast: leastImages, for: name, in: file)
    }

    /// Whether the label of image i is used.
    public func uses(_ i: Int) -> Bool {
        if accused.contains(labels[i]) { return opinions[i * classes + labels[i]] >= Self.affirmed }
        return !Self.contradicts(opinions, i, labels[i], classes)
    }

    /// Images whose label is not used, ascending.
    public var unused: [Int] { labels.indices.filter { !uses($0) } }

    /// What stands in the place of labels, (images, classes): 1 for a label that is used, 0 for all else.
    public var targets: [Float] {
        labels.indices.flatMap { i -> [Float] in
            let used = uses(i)
            return (0..<classes).map { used && $0 == labels[i] ? 1 : 0 }
        }
    }

    /// How many labels are not used, which classes were accused, and what part of each class is not used.
    public var audit: [Finding] {
        let findings = [Finding("FM labels that are not used", "\(unused.count) of \(labels.count)"),
                        Finding("classes accused of wrong labels", accused.isEmpty ? "none" : accused.map(String.init).joined(separator: " "))]
        guard classes <= Self.classesListed else { return findings }
        let shares = Self.shares(labels, classes) { !uses($0) }
        return findings + [Finding("part of each class's labels that is not used", shares.map { fixed($0, 2) }.joined(separator: " "))]
    }

    /// As many classes as people read.
    private static let classesListed = 20

    private static func contradicts(_ opinions: [Double], _ i: Int, _ label: Int, _ classes: Int) -> Bool {
        let row = opinions[i * classes..<(i + 1) * classes]
        return opinions[i * classes + label] < contradicted * (row.max() ?? 0)
    }

    /// Of each class, the part of its images for which something holds; 0 for a class without images.
    private static func shares(_ labels: [Int], _ classes: Int, where holds: (Int) -> Bool) -> [Double] {
        var all = [Int](repeating: 0, count: classes), some = all
        for (i, label) in labels.enumerated() {
            all[label] += 1
            if holds(i) { some[label] += 1 }
        }
        return zip(some, all).map { Double($0) / Double(max(1, $1)) }
    }

    private static func softmax(_ logits: [Float], _ classes: Int) -> [Double] {
        stride(from: 0, to: logits.count, by: classes).flatMap { first -> [Double] in
            let row = logits[first..<first + classes], top = row.max() ?? 0
            let powers = row.map { Mathematics.exp(Double($0) - Double(top)) }, sum = powers.reduce(0, +)
            return powers.map { $0 / sum }
        }
    }
}
