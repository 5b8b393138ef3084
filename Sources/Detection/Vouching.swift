import DefenseInterface
import Attacks
import Network
import Numerics
import Options
import Tensor

/// The federation vouches for the FM labels: a label counts as far as models of clients, which never saw the FM data, do
/// not speak against it. Nothing is asked of a trigger, so it may look like anything: poison is a wrong label, whatever
/// the image carries.
///
/// In the first `rounds` rounds clients train without the FM data. What their models then say of FM image i, v_i(y), and
/// its label l_i give an estimate of how often class y is labelled l: T(y, l), by expectation maximisation with v fixed.
/// From it every image gets a target in the place of its label:
///
///     q_i(y)  ~  v_i(y) M(y, l_i),    M(l, l) = 1,  else M(y, l) = min(1, max(T(y, l) / doubted, least))
///
/// So a label decides between classes that nobody mislabels and says nothing about those that are: where much was moved
/// to one class, images with that label are what the federation takes them for. Poisoned images stay, with their trigger
/// and about their true class, which teaches the network to disregard the trigger.
///
/// T is estimated anew in every round, from the teachers of fusion; what was doubted once stays so.
///
/// Source: the estimate is that of Dawid and Skene (1979) for one trusted judge, as in learning with noisy labels; its use
/// against a backdoor in FM data is ours.
public struct Vouching: Sendable {
    public static let name = "vouching"
    public static let rounds = Setting("vouching-rounds", default: 1, in: .count(from: 1), value: "n",
                                       help: "First rounds, which do without the FM data.")
    public static let epochs = Setting("vouching-epochs", default: 5, in: .count(from: 1), value: "n",
                                       help: "How many times as many epochs clients train in these rounds.")
    public static let settings: [any AnySetting] = [rounds, epochs]
    /// So many FM images it needs at least.
    public static let leastImages = 50

    /// A share of class y labelled l, from which on the label says nothing about the two. Clean FM data and a fifth of
    /// random labels stay below in nearly all places, a fifth of poison comes to three times as much
    /// (data/results/vouching.md).
    static let doubted = 0.05
    /// The least M: no label outweighs a verdict of 20 : 1 against it.
    static let least = 0.05
    /// A class is named to people if more of its labels were overruled than this part and twice the median class's.
    static let standsOut = 0.1
    /// Steps of the estimate.
    static let iterations = 30

    private let labels: [Int], classes: Int
    /// v, (images, classes).
    private let opinions: [Double]
    /// T, (classes, classes): row y, column l. Rows sum to 1.
    public let mislabelled: [Double]
    /// M, likewise.
    public let counted: [Double]

    /// - Parameters:
    ///   - logits: (images, classes), finite: the federation's on the FM images.
    ///   - labels: of the images, below `classes`.
    ///   - earlier: M of the round before; empty where there was none.
    public init(logits: [Float], labels: [Int], classes: Int, earlier: [Double] = []) {
        precondition(logits.count == labels.count * classes)
        (self.labels, self.classes) = (labels, classes)
        opinions = Self.softmax(logits, classes)
        let found = Self.estimate(opinions, labels, classes)
        mislabelled = found
        counted = found.indices.map { at in
            if at / classes == at % classes { return 1 }
            return max(min(1, max(found[at] / Self.doubted, Self.least)), earlier.isEmpty ? 0 : earlier[at])
        }
    }

    /// Throws `DefenseError` where the FM data of `file` do not allow it.
    public static func check(_ samples: Samples, for network: ClampNet, in file: String? = nil) throws {
        try checkImages(samples, network, atLeast: leastImages, for: name, in: file)
    }

    /// q, (images, classes); rows sum to 1.
    public var targets: [Float] {
        labels.indices.flatMap { i -> [Float] in
            let weights = (0..<classes).map { opinions[i * classes + $0] * counted[$0 * classes + labels[i]] }
            let sum = weights.reduce(0, +)
            return weights.map { Float($0 / sum) }
        }
    }

    /// Images, ascending, whose target is another class than their label.
    public var overruled: [Int] {
        let q = targets
        return labels.indices.filter { i in
            let row = q[i * classes..<(i + 1) * classes]
            return row.max().map { $0 > row[row.startIndex + labels[i]] } ?? false
        }
    }

    /// What was overruled, in words: how many labels, in which classes most of them, and what part of each class's.
    public var audit: [Finding] {
        var all = [Int](repeating: 0, count: classes), out = all
        for label in labels { all[label] += 1 }
        for i in overruled { out[labels[i]] += 1 }
        let shares = (0..<classes).map { Double(out[$0]) / Double(max(1, all[$0])) }
        let usual = quantile(0.5, shares.map { Float($0) })
        let doubtful = (0..<classes).filter { shares[$0] > Self.standsOut + 2 * Double(usual) }
        let findings = [Finding("FM labels overruled by the federation", "\(out.reduce(0, +)) of \(labels.count)"),
                        Finding("classes that many were overruled in", doubtful.isEmpty ? "none" : doubtful.map(String.init).joined(separator: " "))]
        guard classes <= 20 else { return findings }
        return findings + [Finding("part of each class's labels overruled", shares.map { fixed($0, 2) }.joined(separator: " "))]
    }

    private static func softmax(_ logits: [Float], _ classes: Int) -> [Double] {
        stride(from: 0, to: logits.count, by: classes).flatMap { first -> [Double] in
            let row = logits[first..<first + classes], top = row.max() ?? 0
            let powers = row.map { Mathematics.exp(Double($0) - Double(top)) }, sum = powers.reduce(0, +)
            return powers.map { $0 / sum }
        }
    }

    /// T, from nine in ten labels right on. A thousandth of an image in every place keeps rows from being empty.
    private static func estimate(_ opinions: [Double], _ labels: [Int], _ classes: Int) -> [Double] {
        let wrong = 0.1 / Double(max(1, classes - 1))
        var t = (0..<classes * classes).map { $0 / classes == $0 % classes ? 0.9 : wrong }
        for _ in 0..<iterations {
            var sums = [Double](repeating: 0.001, count: classes * classes)
            for (i, label) in labels.enumerated() {
                let shares = (0..<classes).map { opinions[i * classes + $0] * t[$0 * classes + label] }
                let sum = shares.reduce(0, +)
                guard sum > 0 else { continue }
                for y in 0..<classes { sums[y * classes + label] += shares[y] / sum }
            }
            for y in 0..<classes {
                let row = y * classes..<(y + 1) * classes, total = sums[row].reduce(0, +)
                for at in row { t[at] = sums[at] / total }
            }
        }
        return t
    }
}
