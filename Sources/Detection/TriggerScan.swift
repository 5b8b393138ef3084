import Attacks
import Network
import Numerics
import Tensor

/// Where the perturbations of `TriggerSearch` start. From an unchanged image the gradient of a trigger's pixels says nothing
/// while the channels that look for the trigger are silent there, so ascent alone misses backdoors that a plain look finds:
/// patterns are laid on a few images, forward passes only, and each class keeps the one that leads to it best, over more
/// images. For what is local the patterns are squares of extreme colours all over the image, for what is spread over it the
/// waves of the Fourier basis.
///
/// Squares have an eighth of the image's side, rounded up, and lie half a side apart; each channel is black or white. Waves
/// have up to eight periods a side in any direction, two phases, the same in every channel, and the norm of a transplant; to finer
/// ones natural classes give way, too.
///
/// Source: Yin et al. 2019, arXiv 1906.08988, for the Fourier basis as a probe of what a network answers to.
struct TriggerScan {
    enum Pattern: Equatable {
        /// First row and column; for each channel whether it is white.
        case square(row: Int, column: Int, white: [Bool])
        /// sin(2 pi (across x + down y) / side), or the cosine.
        case wave(across: Int, down: Int, cosine: Bool)
    }

    private let squares: [Pattern], waves: [Pattern]
    /// Of a square.
    let side: Int
    private let channels: Int, height: Int
    private let range: PixelRange

    init(_ samples: Samples) {
        let height = samples.set.height, channels = samples.set.channels
        let side = (height + 7) / 8,
            places = Array(Set(stride(from: 0, through: height - side, by: max(1, side / 2)) + [height - side])).sorted()
        (self.side, self.height, self.channels) = (side, height, channels)
        range = PixelRange(samples)
        let colors = (0..<1 << channels).map { bits in (0..<channels).map { bits >> $0 & 1 == 1 } }
        squares = colors.flatMap { white in places.flatMap { row in places.map { .square(row: row, column: $0, white: white) } } }
        let most = DetectionSettings.mostPeriods
        waves = (0...most).flatMap { (across: Int) -> [Pattern] in
            let downs = (-most...most).filter { (down: Int) -> Bool in
                (across > 0 || down > 0) && across * across + down * down <= most * most
            }
            return downs.flatMap { down in [false, true].map { .wave(across: across, down: down, cosine: $0) } }
        }
    }

    typealias IsOther = (_ image: Int, _ target: Int) -> Bool
    typealias Logits = ([(image: Int, perturbation: [Float])]) -> [Float]

    func patterns(_ kind: Perturbation.Kind) -> [Pattern] { kind == .sparse ? squares : waves }

    /// What a pattern adds to an image, within the range of pixels: (34, 34, channels), normalised units.
    func perturbation(_ pattern: Pattern) -> [Float] {
        var delta = [Float](repeating: 0, count: 34 * 34 * channels)
        let border = (34 - height) / 2
        switch pattern {
        case let .square(row, column, white):
            for y in row + border..<row + border + side {
                for k in (y * 34 + column + border) * channels..<(y * 34 + column + border + side) * channels {
                    delta[k] = (white[k % channels] ? 1 : -1) * (range.high[k] - range.low[k])
                }
            }
        case let .wave(across, down, cosine):
            for k in delta.indices where range.inside[k] {
                let x = k / channels % 34 - border, y = k / channels / 34 - border
                let angle = 2 * Double.pi * Double(across * x + down * y) / Double(height)
                delta[k] = Float(cosine ? Mathematics.cos(angle) : Mathematics.sin(angle)) / range.std[k]
            }
            let factor = Float(range.limit(DetectionSettings.transplantNorm) / range.norm(delta))
            for k in delta.indices { delta[k] *= factor }
        }
        return delta
    }

    /// For each class the pattern under which its margin, averaged over images of other classes, is largest, and that margin. `logits`
    /// takes pairs of an image and a perturbation to rows of logits; `isOther` says whether an image is none of a class. With the logits of
    /// a `twin` the last choice is by contrast, which is then returned. Counts the forward passes.
    func best(
        of patterns: [Pattern], classes: Int, images: [Int], isOther: IsOther, forwards: inout Int,
        logits: Logits, twin: Logits? = nil
    ) -> [(pattern: Pattern, margin: Double)] {
        let few = DetectionSettings.imagesFirst,
            count = min(max(DetectionSettings.forwardsFirst / patterns.count, few.lowerBound), few.upperBound)
        let sample = Array(images.prefix(count)), more = Array(images.prefix(DetectionSettings.imagesAgain))
        let first = margins(of: patterns, on: sample, classes: classes, isOther: isOther, logits: logits)
        let ranked = (0..<classes).map { target in
            patterns.indices.sorted { (first[$0][target], $1) > (first[$1][target], $0) }.prefix(DetectionSettings.bestOfClass)
        }
        let chosen = Set(ranked.joined()).sorted()  // classes share some
        let second = margins(
            of: chosen.map { patterns[$0] }, on: more, classes: classes, isOther: isOther, logits: logits, twin: twin)
        let again = Dictionary(uniqueKeysWithValues: zip(chosen, second))
        forwards += patterns.count * sample.count + chosen.count * more.count * (twin == nil ? 1 : 2)
        return (0..<classes).map { target in
            let reached = ranked[target].map { (pattern: patterns[$0], margin: again[$0]?[target] ?? -.infinity) }
            return reached.max { $0.margin < $1.margin } ?? (patterns[0], -.infinity)
        }
    }

    /// (patterns, classes): mean margins, or contrasts, on those of `images` that are none of the class.
    private func margins(
        of patterns: [Pattern], on images: [Int], classes: Int, isOther: IsOther, logits: Logits, twin: Logits? = nil
    ) -> [[Double]] {
        let rows = rows(patterns, images, logits), twins = twin.map { self.rows(patterns, images, $0) }
        return patterns.indices.map { pattern in
            (0..<classes).map { target in
                var sum = 0.0, count = 0
                for (i, image) in images.enumerated() where isOther(image, target) {
                    let at = (pattern * images.count + i) * classes, row = at..<at + classes
                    let now = Loss.margin(rows[row], of: target)
                    sum += twins.map { FoundTriggers.contrast(now, Loss.margin($0[row], of: target)) } ?? Double(now)
                    count += 1
                }
                return count > 0 ? sum / Double(count) : -.infinity
            }
        }
    }

    private func rows(_ patterns: [Pattern], _ images: [Int], _ logits: Logits) -> [Float] {
        patterns.indices.split(into: 64).flatMap { group in  // a few perturbations in memory at a time
            logits(
                group.flatMap { pattern in
                    let perturbation = perturbation(patterns[pattern])
                    return images.map { (image: $0, perturbation: perturbation) }
                })
        }
    }
}
