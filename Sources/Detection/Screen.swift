import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics
import Tensor

/// Looks for poisoned FM images. In the class that a backdoor leads to, two kinds of images meet: natural ones, and
/// images of all classes with a trigger, which have nothing in common but the trigger. The difference of their mean from the
/// mean of other classes' images *is* the trigger, whatever it looks like, as long as it stays in its place. Transplanted to
/// images of other classes (added, its L2 norm limited) it takes them into the class, and taken off the poisoned images it
/// takes them out. What natural images of a class have in common is far larger, and no part of a trigger's size does that.
///
/// 1. Every class offers three groups: two halves, and all its images. The maxima of the last three convolutions' channels
///    show two kinds as two groups once the spread that every class has anyway is divided out: whitened by the mean
///    within-class covariance, projected on ten principal components, and split (2-means, then a linear discriminant).
/// 2. Groups whose transplant takes many images along are regrouped, the best first, until one is found: to a group belong the
///    class's images that a filter of pixels, made for what the group has in common, marks as its like (`TriggerFilter`).
/// 3. The class's score is the product of three shares: of other classes' images that the last group's transplant takes along, of the
/// group's images that leave the class when it is taken off, and, of the norm of what they have in common, the part that the transplant's
/// limit leaves. Suspect are the images that the filter puts a quarter of the way and more from other classes' images to the group's, and
/// those that have the very pixels that the trigger sets. Suspects that leave the class when the trigger is taken off (`Overlay`) are
/// witnesses, the others may belong to it by right. Images from a tenth of the way on are doubtful: poisoned ones among them would have the
/// bounds keep the backdoor.
///
/// Sources: Tang et al., "Demon in the Variant" (SCAn), arXiv 1908.00686, for the common covariance; the transplant is ours.
struct Screen {
    /// What the screen holds against a class.
    struct Verdict {
        /// From 0 to 1; of a class that was not regrouped the share of images that its transplant takes along. nil for a class
        /// with too few images.
        var score: Double?
        /// Where the class looks poisoned, positions of the images that look so.
        var suspects: [Int] = []
        /// Of these the ones that leave the class when the trigger is taken off.
        var witnesses: [Int] = []
        /// Members of the class with too small a mark to be suspects, and too large a one to be kept.
        var doubtful: [Int] = []
        /// The trigger, as the suspects show it beside all other images.
        var overlay: Overlay?
    }

    /// Of each class.
    private(set) var verdicts: [Verdict] = []
    /// Images taken through the network.
    private(set) var forwards = 0

    private let subject: Examined
    private var activations: Activations { subject.activations }
    private var samples: Samples { subject.samples }
    private var range: PixelRange { subject.range }

    init(_ subject: Examined) {
        self.subject = subject
        let activations = subject.activations, samples = subject.samples, range = subject.range
        let seed = subject.context.seed, threads = subject.context.threads
        var members = [[Int]](repeating: [], count: activations.classes)
        for (image, label) in activations.predictions.enumerated() { members[label].append(image) }
        let network = activations.network, channels = network.bounds(of: .conv4).lowerBound..<network.bounds(of: .conv6).upperBound
        var points = (0..<activations.count).map { image in channels.map { Double(activations.maximum(image, $0)) } }
        whiten(&points, groups: members, threads: threads)
        let halves = parallelMap(members.count, threads: threads) { [points] label, _ -> [[Int]] in
            let images = members[label]
            guard images.count >= DetectionSettings.leastImages else { return [] }
            var stream = RandomStream(seed: seed, purpose: "screen", client: label)
            let centred = centred(images.map { points[$0] })
            let split = discriminated(centred, twoMeans(principalComponents(centred, count: DetectionSettings.components, using: &stream)))
            return [false, true].map { side in images.indices.filter { split[$0] == side }.map { images[$0] } }
        }
        let sums = parallelMap(members.count, threads: threads) { label, _ in sum(members[label], samples, range) }
        let all = sums.reduce([Double](repeating: 0, count: range.inside.count)) { zip($0, $1).map { $0 + $1 } }
        var stream = RandomStream(seed: seed, purpose: "transplant")
        let order = stream.permutation(activations.count)
        for label in members.indices {
            let others = order.filter { activations.predictions[$0] != label }
            let groups = (halves[label] + [members[label]]).filter {
                members[label].count >= DetectionSettings.leastImages && $0.count >= DetectionSettings.leastGroup
            }
            verdicts.append(
                verdict(
                    label, members[label], groups, others, beside: zip(all, sums[label]).map { ($0 - $1) / Double(max(1, others.count)) }))
        }
    }

    /// - Parameter beside: mean input of the other classes' images.
    private mutating func verdict(_ label: Int, _ members: [Int], _ groups: [[Int]], _ others: [Int], beside: [Double]) -> Verdict {
        let recipients = Array(others.prefix(DetectionSettings.recipients))
        guard !groups.isEmpty, !recipients.isEmpty else { return Verdict() }
        let shares = groups.map { taken(recipients, by: transplant($0, beside).overlay, label) }
        let order = groups.indices.sorted { (shares[$0], $1) > (shares[$1], $0) },
            starts = order.filter { shares[$0] >= DetectionSettings.regroupedFrom }
        guard !starts.isEmpty else { return Verdict(score: shares[order[0]]) }
        let filter = TriggerFilter(
            samples, images: Array((members + others).prefix(DetectionSettings.filteredImages)), width: range.inside.count,
            threads: subject.context.threads)
        var score = 0.0, marks: [Float] = []
        for start in starts where score < DetectionSettings.poisonedFrom {
            let next = regrouped(groups[start], filter, of: members, recipients, beside)
            let nextScore = self.score(next.group, recipients, beside, label)
            if nextScore > score { (score, marks) = (nextScore, next.marks) }
        }
        guard score >= DetectionSettings.poisonedFrom else { return Verdict(score: score) }
        let marked = members.indices.filter { marks[$0] >= DetectionSettings.suspectFrom }.map { members[$0] },
            first = Overlay(marked, samples, range)
        let suspects = Set(marked).union(first.carriers(among: members, samples, range)).sorted()
        let doubtful = Set(members.indices.filter { marks[$0] >= DetectionSettings.doubtfulFrom }.map { members[$0] }).subtracting(suspects)
            .sorted()
        let overlay = Overlay(suspects, samples, range)
        return Verdict(
            score: score, suspects: suspects, witnesses: leaving(suspects, without: overlay, label), doubtful: doubtful, overlay: overlay)
    }

    /// A group of a class's members that its own filter tells from the others, and the filter's marks of all members.
    private func regrouped(_ start: [Int], _ filter: TriggerFilter, of members: [Int], _ others: [Int], _ beside: [Double]) -> (
        group: [Int], marks: [Float]
    ) {
        var group = start, marks: [Float] = []
        for _ in 0..<DetectionSettings.regroupings {
            marks = self.marks(filter, group, of: members, others, beside)
            let next = members.indices.filter { marks[$0] >= DetectionSettings.memberFrom }.map { members[$0] }
            if next.count < DetectionSettings.leastGroup || next == group { break }
            group = next
        }
        return (group, marks)
    }

    /// What the filter of a group says of the class's members, or of other images: 0 is the median of other classes' images, 1 that of the
    /// group.
    private func marks(_ filter: TriggerFilter, _ group: [Int], of members: [Int], _ others: [Int], _ beside: [Double]) -> [Float] {
        let inGroup = Set(group), rest = members.filter { !inGroup.contains($0) }
        let w = filter.weights(
            difference(group, beside), blindTo: rest.count < DetectionSettings.leastGroup ? nil : difference(rest, beside))
        let values = filter.values(members, w), zero = quantile(0.5, filter.values(others, w))
        let one = quantile(0.5, members.indices.filter { inGroup.contains(members[$0]) }.map { values[$0] })
        return values.map { one > zero ? ($0 - zero) / (one - zero) : 0 }
    }

    private mutating func score(_ group: [Int], _ recipients: [Int], _ beside: [Double], _ label: Int) -> Double {
        let transplant = transplant(group, beside), left = Double(leaving(group, without: transplant.overlay, label).count)
        return taken(recipients, by: transplant.overlay, label) * left / Double(group.count) * transplant.part
    }

    /// The share of images that a transplant takes into the class.
    private mutating func taken(_ images: [Int], by transplant: Overlay, _ label: Int) -> Double {
        Double(margins(images, under: transplant, of: label).count { $0 > 0 }) / Double(images.count)
    }

    /// The images that leave the class when the transplant is taken off.
    private mutating func leaving(_ images: [Int], without transplant: Overlay, _ label: Int) -> [Int] {
        zip(images, margins(images, without: transplant, of: label)).filter { $1 < 0 }.map(\.0)
    }

    private mutating func margins(_ images: [Int], under overlay: Overlay? = nil, without taken: Overlay? = nil, of label: Int) -> [Float] {
        let classes = activations.classes
        forwards += images.count
        let samples = samples, range = range
        let rows = subject.logits(images.count) { i, x in
            samples.load(images[i], into: x)
            if let overlay { range.lay(overlay, on: x) }
            if let taken { range.takeOff(taken, from: x) }
        }
        return images.indices.map { Loss.margin(rows[$0 * classes..<($0 + 1) * classes], of: label) }
    }

    private func difference(_ images: [Int], _ beside: [Double]) -> [Float] {
        zip(sum(images, samples, range), beside).map { Float($0 / Double(max(1, images.count)) - $1) }
    }

    /// The difference of the images' mean from another mean, its norm limited, and the part that the limit leaves of it.
    private func transplant(_ images: [Int], _ beside: [Double]) -> (overlay: Overlay, part: Double) {
        let difference = difference(images, beside)
        let part = min(1, range.limit(DetectionSettings.transplantNorm) / max(1e-12, range.norm(difference)))
        return (Overlay(adding: difference.map { $0 * Float(part) }), part)
    }
}

/// Of the network's inputs.
private func sum(_ images: [Int], _ samples: Samples, _ range: PixelRange) -> [Double] {
    var sum = [Double](repeating: 0, count: range.inside.count)
    range.forEachInput(images, of: samples) { _, x in for k in sum.indices { sum[k] += Double(x[k]) } }
    return sum
}

private func centred(_ x: [[Double]]) -> [[Double]] {
    let d = x[0].count
    var mean = [Double](repeating: 0, count: d)
    for row in x { for k in 0..<d { mean[k] += row[k] / Double(x.count) } }
    return x.map { row in (0..<d).map { row[$0] - mean[$0] } }
}

/// A split in two improved by the linear discriminant along the difference of the means (the rows being whitened), with
/// the threshold where two normal distributions of these sizes and a common variance are equally likely.
func discriminated(_ x: [[Double]], _ split: [Bool]) -> [Bool] {
    var split = split
    for _ in 0..<5 {
        let sides = [false, true].map { side in x.indices.filter { split[$0] == side } }
        guard sides.allSatisfy({ $0.count >= 8 }) else { break }
        let means = sides.map { side in (0..<x[0].count).map { k in side.reduce(0) { $0 + x[$1][k] } / Double(side.count) } }
        let direction = zip(means[1], means[0]).map { $0 - $1 }
        let scores = x.map { dot($0, direction) }
        let middles = sides.map { side in side.reduce(0) { $0 + scores[$1] } / Double(side.count) }
        let variance =
            [0, 1].reduce(0) { sum, side in sum + sides[side].reduce(0) { $0 + (scores[$1] - middles[side]) * (scores[$1] - middles[side]) }
            } / Double(x.count)
        let odds = Double(sides[1].count) / Double(sides[0].count)
        let threshold = (middles[0] + middles[1]) / 2 - variance / (middles[1] - middles[0]) * Mathematics.log(odds)
        let next = scores.map { $0 > threshold }
        if next == split { break }
        split = next
    }
    return split
}
