import Numerics
import Tensor

/// What clients' models take each FM image for, one vote a client and image, and the federation's opinion that comes of them.
///
/// Malicious clients vote, too. Where the trigger that they planted is on FM images, they say what its label says, and two sure votes of
/// ten are more than chance. So not every client is heard about the label l. P_ki(l) is what client k says, as a probability, of image i.
/// Image i is doubted where the median client says l less often than of the average image. Of all clients as many as a rule assumes to be
/// malicious are not heard about l, those with the largest
///
///     s_k(l)  =  mean of P_ki(l) over doubted images with label l  -  mean of P_ki(l) over the other doubted images,
///
/// which support labels that others doubt. Honest clients can be among them: where every client knows every class, the rest says the same.
/// Where few clients know a class (one client may hold all of it), those few support its labels against all others, just as malicious
/// clients do. Hence all clients are heard about l unless those that are left know l better than as many as were not heard:
/// a client's knowledge of l is how often it says l, over the share of the label l or over chance, whichever is less, and 1 at most.
///
/// The mean over those heard about the label l, as probabilities, is the opinion v_li(y) of image i. A federation sees some classes
/// everywhere and others nowhere, so that an opinion counts by how it stands out:
///
///     r_li(y)  =  v_li(y) / mean over all images j of v_lj(y)
///
/// A client that says l of likely wrong labels l more often than not has learned to: it plants what these images plant. Such clients have
/// no part in the rounds, those first that say it most, at most as many as a rule assumes to be malicious.
///
/// Source: ours.
public struct Votes: Sendable {
    private let labels: [Int], classes: Int
    /// Of each client: (images, classes), probabilities.
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
        let vote = stride(from: 0, to: logits.count, by: classes).flatMap { softmax(logits[$0..<$0 + classes]).map(Float.init) }
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
        let support = support(of: label)
        let heard = all.sorted { (-support[$0], $0) < (-support[$1], $1) }.dropFirst(assumedMalicious).sorted()
        let asOften = min(Double(labels.count { $0 == label }) / Double(max(1, labels.count)), 1 / Double(classes))
        let know = heard.reduce(0) { $0 + min(1, means[$1][label] / asOften) }
        return know > Double(assumedMalicious) ? heard : all
    }

    /// Clients that say a class of images that are likely labelled so by mistake, ascending by their place in the order of `add`. Only a
    /// class of which many labels are wrong counts: a client that alone knows a class supports the few labels of it that others doubt.
    public func supporters(ofWrong vouching: Vouching, assumedMalicious: Int) -> [Int] {
        let planted = (0..<classes).filter { vouching.wrongParts[$0] >= DetectionSettings.plantedFrom }
        let support = votes.map { vote in
            planted.map { label in mean(vote, label) { labels[$0] == label && vouching.isDoubted($0) } }.max() ?? 0
        }
        let likely = votes.indices.filter { support[$0] > DetectionSettings.supportFrom }
        return likely.sorted { (-support[$0], $0) < (-support[$1], $1) }.prefix(min(assumedMalicious, votes.count - 1)).sorted()
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
