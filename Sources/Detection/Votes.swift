import Numerics
import Tensor

/// What clients' models take each FM image for, one vote a client and image, and the federation's opinion that comes of them.
///
/// A client that has few classes says these of every image, whatever it shows. So a vote is not the probability p_ki(y) by itself, but how
/// much more client k says y of image i than of others, scaled to a sum of 1 over the classes (a logit adjusted by what the client expects
/// anyway: Menon et al., "Long-tail learning via logit adjustment", 2021, with what it says of all images in the place of its share of y):
///
///     P_ki(y)  =  p_ki(y) / (mean over all images j of p_kj(y) + h) / sum over classes,     h half of chance
///
/// Malicious clients vote, too. Where the trigger that they planted is on FM images, they say what its label says, and two sure votes of
/// ten are more than chance. So not every client is heard about the label l.
/// Image i is doubted where the median client says l less often than of the average image. A client supports the label l by
///
///     s_k(l)  =  mean of P_ki(l) over doubted images with label l  -  mean of P_ki(l) over the other doubted images.
///
/// As many as a rule assumes to be malicious are not heard about l, those with the largest support. So no client can hide a wrong label by
/// supporting it a little. Honest clients can be among them: where most clients know every class, the rest says the same. But where few
/// know a class (one client may hold all of it), those few support its labels against all others, just as malicious clients do. Hence,
/// unless the rest know l half as well as they could, only clients whose support is large are not heard, and nobody unless the rest know l
/// better than as many as are assumed to be malicious. A client's knowledge of l is how often it says l, over the share of the label l or
/// over chance, whichever is less, and 1 at most.
///
/// The mean over those heard about the label l, as probabilities, is the opinion v_li(y) of image i. A federation sees some classes
/// everywhere and others nowhere, so that an opinion counts by how it stands out:
///
///     r_li(y)  =  v_li(y) / mean over all images j of v_lj(y)
///
/// Once it is known which labels l are likely wrong, a client's support of them is how much more it says l of these images than of images
/// with other labels. A client whose support is large has learned to say l of what these images carry: it plants what they plant. Such
/// clients have no part in the rounds, those first that support most, at most as many as a rule assumes to be malicious.
///
/// Source: ours.
public struct Votes: Sendable {
    private let labels: [Int], classes: Int
    /// P, of each client: (images, classes).
    private var votes: [[Float]] = []
    /// Of each client: (classes), the mean of its vote over all images.
    private var means: [[Double]] = []

    /// - Parameter labels: of the images, below `classes`, of which there are 2 or more.
    public init(labels: [Int], classes: Int) {
        precondition(classes > 1)
        (self.labels, self.classes) = (labels, classes)
    }

    /// Memory that so many clients' votes take until the last has come.
    public static func bytes(clients: Int, images: Int, classes: Int) -> Int { clients * images * classes * MemoryLayout<Float>.size }

    /// The next client's vote.
    /// - Parameter logits: (images, classes), finite.
    public mutating func add(_ logits: [Float]) {
        precondition(logits.count == labels.count * classes)
        var vote = stride(from: 0, to: logits.count, by: classes).flatMap { softmax(logits[$0..<$0 + classes]).map(Float.init) }
        let least = DetectionSettings.leastExpected / Double(classes)
        let expected = (0..<classes).map { Float(mean(vote, $0) { _ in true } + least) }
        for image in stride(from: 0, to: vote.count, by: classes) {
            for y in 0..<classes { vote[image + y] /= expected[y] }
            let sum = vote[image..<image + classes].reduce(0, +)
            for y in 0..<classes { vote[image + y] /= sum }
        }
        votes.append(vote)
        means.append((0..<classes).map { mean(vote, $0) { _ in true } })
    }

    /// r_li(y) with l the label of image i, (images, classes): how the opinion of those who are heard about its label stands out.
    public func opinions(assumedMalicious: Int) -> [Double] {
        var opinions = [Double](repeating: 1, count: labels.count * classes)
        guard !votes.isEmpty else { return opinions }
        let doubt = DetectionSettings.doubt
        for label in 0..<classes {
            let heard = heard(about: label, assumedMalicious: assumedMalicious)
            func opinion(_ says: (Int) -> Double) -> Double {
                (1 - doubt) * heard.reduce(0) { $0 + says($1) } / Double(heard.count) + doubt / Double(classes)
            }
            let averages = (0..<classes).map { y in opinion { means[$0][y] } }
            for image in labels.indices where labels[image] == label {
                for place in image * classes..<(image + 1) * classes {
                    opinions[place] = opinion { Double(votes[$0][place]) } / averages[place % classes]
                }
            }
        }
        return opinions
    }

    /// The clients that are heard about a label, ascending, by their place in the order of `add`.
    func heard(about label: Int, assumedMalicious: Int) -> [Int] {
        let all = Array(votes.indices)
        guard labels.contains(label) else { return all }
        let support = support(of: label), most = largest(support, atMost: assumedMalicious)
        let asOften = min(Double(labels.count { $0 == label }) / Double(max(1, labels.count)), 1 / Double(classes))
        func know(_ rest: [Int]) -> Double { rest.reduce(0) { $0 + min(1, means[$1][label] / asOften) } }
        func without(_ some: [Int]) -> [Int] { all.filter { !some.contains($0) } }
        let rest = without(most)
        if !rest.isEmpty, know(rest) >= DetectionSettings.knownFrom * Double(rest.count) { return rest }
        let heard = without(most.filter { support[$0] > DetectionSettings.unheardFrom })
        return know(heard) > Double(assumedMalicious) ? heard : all
    }

    /// Clients that support labels which are likely wrong, ascending by their place in the order of `add`. Only a class of which many
    /// labels are wrong counts: a client that alone knows a class supports the few labels of it that others doubt.
    public func supporters(ofWrong vouching: Vouching, assumedMalicious: Int) -> [Int] {
        let planted = (0..<classes).filter { vouching.wrongParts[$0] >= DetectionSettings.plantedFrom }
        let support = votes.map { vote in
            planted.map { label in
                mean(vote, label) { labels[$0] == label && vouching.isDoubted($0) } - mean(vote, label) { labels[$0] != label }
            }.max() ?? 0
        }
        let most = largest(support, atMost: min(assumedMalicious, votes.count - 1))
        return most.filter { support[$0] > DetectionSettings.supportFrom }.sorted()
    }

    /// The clients with the largest support, that with the largest first.
    private func largest(_ support: [Double], atMost most: Int) -> [Int] {
        Array(support.indices.sorted { (-support[$0], $0) < (-support[$1], $1) }.prefix(most))
    }

    /// s, (clients): how much more each client says `label` of doubted images that carry it than of others.
    private func support(of label: Int) -> [Double] {
        let medians = labels.indices.map { image in median(votes.map { Double($0[image * classes + label]) }) }
        let average = medians.reduce(0, +) / Double(max(1, medians.count))
        let doubted = medians.map { $0 < average }
        return votes.map { vote in
            mean(vote, label) { doubted[$0] && labels[$0] == label } - mean(vote, label) { doubted[$0] && labels[$0] != label }
        }
    }

    /// The mean of what a client says of `label` over the images that `counts` lets through; 0 without any.
    private func mean(_ vote: [Float], _ label: Int, _ counts: (Int) -> Bool) -> Double {
        var sum = 0.0, images = 0
        for image in labels.indices where counts(image) { (sum, images) = (sum + Double(vote[image * classes + label]), images + 1) }
        return images > 0 ? sum / Double(images) : 0
    }
}
