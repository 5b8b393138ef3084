import Attacks
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// The federation vouches for the FM labels: models of clients that never saw the FM data say what they take each image for. Nothing is
/// asked of a trigger, so it may look like anything: poison is a wrong label, whatever the image carries.
///
/// Before the initialisation clients train for `rounds` rounds without the FM data. Then their models vote: `Votes` has how much the
/// federation's opinion of FM image i stands out for class y, r_i(y), by those who are heard about its label.
///
/// An image of class y has a large r_i(y). The label l of image i is right, or it is wrong and the image shows another class, whichever:
///
///     p_i  =  e_l o_i / (e_l o_i + (1 - e_l) r_i(l)),      o_i  =  mean over y other than l of r_i(y)
///     e_l  =  mean over i with label l of p_i
///
/// p_i is the probability that label i is wrong, e_l the part of wrong labels in class l; the two lines are repeated until e stands
/// still (expectation maximisation). In a class without wrong labels e_l falls to 0, and all of them are trusted, those too that the
/// federation would not have guessed. A class is accused where e_l explains its labels so much better than 0 does that it is worth a
/// parameter (the Bayesian information criterion; Schwarz, "Estimating the dimension of a model", 1978), with n images in all:
///
///     sum over i with label l of ln(e_l o_i / r_i(l) + 1 - e_l)  >  ln(n) / 2
///
/// In other classes e_l and p_i are 0.
///
/// Of an accused class a label is doubted that is rather wrong than right. The other c, the candidates, can still carry the trigger: the
/// federation errs. So a model is trained on the images of other classes and on doubted ones, with the labels they came with. It knows class
/// l by wrong images alone. So it learns the trigger, whatever this looks like. It misses the part m of those doubted images, one in five,
/// that it has not seen. Candidates that it takes for l carry the trigger. Of D doubted images and F carriers some show class l indeed: an
/// attacker who draws his images from all k classes draws one in k of the target. So N candidates are wrong, and the part f of the right
/// ones carries the trigger:
///
///     N  =  (F - (D + F) / k) / (1 - m),      f  =  ((D + F) / k + 1) / (c - N + 2)
///
/// Where N is more than the votes expect, they know the class badly; then the odds p_i / (1 - p_i) of all candidates are multiplied by one
/// number, so that the p_i sum to N. With these odds, h_i, the label of a candidate is wrong with probability
///
///     w_i  =  h_i (1 - m) / (h_i (1 - m) + f)  for a carrier,      h_i m / (h_i m + 1 - f)  for another
///
/// A model that misses half or more has learned nothing that all wrong labels share (there is no trigger where labels are wrong by chance);
/// then w_i is p_i. Candidates with a w_i of one in fifty at most are trusted.
///
/// The others count as what they may be: as class l with probability 1 - w_i, and as class y other than l in proportion to q_i(y) r_i(y),
/// where q_i are the probabilities of a model that learned from the trusted images alone. Of doubted images w_i is 1, and from now on of all
/// whose label is rather wrong than right. They carry the trigger, and what they teach of it is that it means nothing.
///
/// Clients that say of likely wrong labels what these say are left out of the rounds (`Votes`).
///
/// Trust is not weighed anew later: models that have learned from the FM data say what these taught them.
///
/// Source: ours. Its estimate of e is that of a mixture of two known distributions.
public struct Vouching: Sendable {
    public static let name = "vouching"
    public static let rounds = Setting(
        "vouching-rounds", default: 1, in: .count(from: 1), value: "n",
        help: "Rounds before the initialisation, of all clients and without the FM data.")
    public static let epochs = Setting(
        "vouching-epochs", default: 5, in: .count(from: 1), value: "n",
        help: "How many times as many epochs clients train in these rounds; 20 steps at the least.")
    public static let settings: [any AnySetting] = [rounds, epochs]
    /// So many FM images it needs at least.
    public static let leastImages = 50

    private let labels: [Int], classes: Int
    /// r, (images, classes).
    private let opinions: [Double]
    /// p, (images): the probability that a label is wrong.
    public private(set) var wrong: [Double]
    /// e, (classes): the part of a class's labels that are wrong; 0 for a class that is not accused.
    public private(set) var wrongParts: [Double]
    /// w, of candidates that were judged, by image.
    private var leftWrong: [Int: Double] = [:]
    /// Whether each label is taken as it is: all but those of accused classes that are doubted or, once judged, not sure enough.
    public private(set) var trusted: [Bool]

    /// - Parameters:
    ///   - opinions: r, (images, classes), positive.
    ///   - labels: of the images, below `classes`, of which there are 2 or more.
    public init(_ opinions: [Double], labels: [Int], classes: Int) {
        precondition(opinions.count == labels.count * classes && classes > 1)
        (self.opinions, self.labels, self.classes) = (opinions, labels, classes)
        let counts = Self.counts(labels, classes)
        let right = labels.indices.map { opinions[$0 * classes + labels[$0]] }
        let other = labels.indices.map { (opinions[$0 * classes..<($0 + 1) * classes].reduce(0, +) - right[$0]) / Double(classes - 1) }
        wrong = [Double](repeating: 0, count: labels.count)
        trusted = [Bool](repeating: false, count: labels.count)
        wrongParts = counts.map { $0 > 0 ? DetectionSettings.wrongAtFirst : 0 }
        for _ in 0..<DetectionSettings.mostRepetitions {
            var sums = [Double](repeating: 0, count: classes)
            for (i, label) in labels.enumerated() {
                let bad = wrongParts[label] * other[i], good = (1 - wrongParts[label]) * right[i]
                wrong[i] = bad / (bad + good)
                sums[label] += wrong[i]
            }
            let next = zip(sums, counts).map { $0 / Double(max(1, $1)) },
                moved = zip(next, wrongParts).reduce(0) { max($0, abs($1.0 - $1.1)) }
            wrongParts = next
            if moved <= DetectionSettings.still { break }
        }
        var evidence = [Double](repeating: 0, count: classes)  // log-likelihood over that without wrong labels
        for (i, label) in labels.enumerated() {
            evidence[label] += Mathematics.log(wrongParts[label] * other[i] / right[i] + 1 - wrongParts[label])
        }
        let leastEvidence = Mathematics.log(Double(labels.count)) / 2
        for label in 0..<classes where evidence[label] <= leastEvidence { wrongParts[label] = 0 }
        for (i, label) in labels.enumerated() {
            if !isAccused(label) { wrong[i] = 0 }
            trusted[i] = !isDoubted(i)
        }
    }

    private func isAccused(_ label: Int) -> Bool { wrongParts[label] > 0 }

    /// Whether an image is of an accused class and its label more likely wrong than right.
    func isDoubted(_ image: Int) -> Bool { isAccused(labels[image]) && wrong[image] > 0.5 }

    /// Images that teach a model the trigger, with the labels they came with: those of classes that are not accused, and doubted ones but
    /// for the unseen. Ascending.
    public var lesson: [Int] {
        let unseen = Set(unseen)
        return labels.indices.filter { !isAccused(labels[$0]) || isDoubted($0) && !unseen.contains($0) }
    }

    /// Doubted images that show what the model misses, one in five. Ascending.
    public var unseen: [Int] {
        let doubted = labels.indices.filter(isDoubted)
        return stride(from: 0, to: doubted.count, by: DetectionSettings.unseenOneIn).map { doubted[$0] }
    }

    /// Trusted images of accused classes, which may carry the trigger. Ascending.
    public var candidates: [Int] { labels.indices.filter { trusted[$0] && isAccused(labels[$0]) } }

    /// Judges the candidates by what the model says that learned the lesson.
    /// - Parameters:
    ///   - candidates: its predictions of them, in their order.
    ///   - unseen: those of the unseen.
    public mutating func judge(candidates said: [Int], unseen: [Int]) {
        let missed = zip(self.unseen, unseen).count { labels[$0] != $1 }, m = Double(missed + 1) / Double(unseen.count + 2)
        let all = candidates, carriers = Set(zip(all, said).filter { labels[$0] == $1 }.map(\.0))
        for label in Set(all.map { labels[$0] }).sorted() {
            let mine = all.filter { labels[$0] == label }
            for (image, wrong) in zip(mine, judged(mine, carriers, missed: m)) {
                leftWrong[image] = wrong > 0.5 ? 1 : wrong
                trusted[image] = wrong <= DetectionSettings.wrongAtMost
            }
        }
    }

    /// w of the candidates of one class, in their order.
    /// - Parameters:
    ///   - carriers: those that the model takes for the class.
    ///   - m: the part of such images that it misses.
    private func judged(_ mine: [Int], _ carriers: Set<Int>, missed m: Double) -> [Double] {
        guard m < DetectionSettings.missedAtMost else { return mine.map { wrong[$0] } }
        let n = Double(mine.count), found = Double(mine.count(where: carriers.contains))
        let doubted = Double(labels.indices.count { labels[$0] == labels[mine[0]] && isDoubted($0) })
        let showIt = min(found, (doubted + found) / Double(classes)), count = min((found - showIt) / (1 - m), n - 0.5)
        let f = (min(showIt, n - count) + 1) / (n - count + 2), scale = scale(of: mine, wrong: count)
        return mine.map { image in
            let odds = scale * odds(image) * (carriers.contains(image) ? (1 - m) / f : m / (1 - f))
            return odds / (odds + 1)
        }
    }

    /// By what the odds of images must be multiplied so that, in sum over their probabilities, as many labels are wrong; 1 where they say
    /// so already.
    private func scale(of images: [Int], wrong count: Double) -> Double {
        let odds = images.map(odds)
        func sum(_ scale: Double) -> Double { odds.reduce(0) { $0 + scale * $1 / (1 + scale * $1) } }
        var (low, high) = (1.0, 1.0)
        while sum(high) < count, high < DetectionSettings.largestScale { high *= 2 }
        while high - low > DetectionSettings.still * high {
            let middle = (low + high) / 2
            if sum(middle) < count { low = middle } else { high = middle }
        }
        return high
    }

    /// The odds that a label is wrong, by what the clients say.
    private func odds(_ image: Int) -> Double { wrong[image] / max(1 - wrong[image], .leastNormalMagnitude) }

    /// What images that are not trusted show, (distrusted, classes): probabilities, with 1 - w for the label.
    /// - Parameter says: (distrusted, classes), logits of a model that learned from the trusted images alone.
    public func shown(_ says: [Float]) -> [Float] {
        precondition(says.count == distrusted.count * classes)
        return distrusted.enumerated().flatMap { row, image -> [Float] in
            let wrong = leftWrong[image] ?? 1
            var both = zip(softmax(says[row * classes..<(row + 1) * classes]), opinions[image * classes..<(image + 1) * classes]).map {
                max($0, DetectionSettings.leastSaid) * $1
            }
            both[labels[image]] = 0
            let total = both.reduce(0, +)
            return both.indices.map { Float($0 == labels[image] ? 1 - wrong : wrong * both[$0] / total) }
        }
    }

    private static func counts(_ labels: [Int], _ classes: Int) -> [Int] {
        labels.reduce(into: [Int](repeating: 0, count: classes)) { $0[$1] += 1 }
    }

    /// Throws `DefenseError` where the FM data of `file` do not allow it.
    public static func check(_ samples: Samples, for network: ClampNet, in file: String? = nil) throws {
        try checkImages(samples, network, atLeast: leastImages, for: name, in: file)
    }

    /// Images whose label is not trusted, ascending.
    public var distrusted: [Int] { labels.indices.filter { !trusted[$0] } }

    /// Images for whose label the federation's opinion stands out most, as their number. A federation that knows too little guesses them
    /// hardly more often than by chance, and cannot vouch.
    private var guessed: Int {
        labels.indices.count { image in
            let opinion = opinions[image * classes..<(image + 1) * classes]
            return opinion.max() == opinion[opinion.startIndex + labels[image]]
        }
    }

    /// How many labels are not trusted, how many the federation would have guessed, and what part of each class's labels it takes to be
    /// wrong.
    public var audit: [Finding] {
        let guessed = guessed, tooFew = Double(guessed * classes) < DetectionSettings.timesChance * Double(labels.count)
        let findings = [
            Finding("FM labels that are not trusted", "\(distrusted.count) of \(labels.count)"),
            Finding(
                "FM labels that the clients guess",
                "\(guessed) of \(labels.count)" + (tooFew ? "; they know too little to tell wrong labels from right ones" : "")),
        ]
        guard wrongParts.count <= DetectionSettings.classesListed else { return findings }
        return findings + [Finding("part of each class's labels that is wrong", wrongParts.map { fixed($0, 2) }.joined(separator: " "))]
    }
}
