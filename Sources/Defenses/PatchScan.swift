import Attacks
import Network

/// Where perturbations that are local start. From an unchanged image the gradient of a patch's pixels says nothing while the
/// channels that look for the patch are silent there, so ascent alone misses backdoors that a plain look finds: squares
/// of extreme colours are laid all over a few images, forward passes only, and each class keeps the square that
/// leads to it best, over more images, to start from.
///
/// Squares have an eighth of the image's side, rounded up, and lie half a side apart; each channel is black or white.
struct PatchScan {
    struct Square: Equatable {
        var row: Int, column: Int
        /// For each channel whether it is white.
        var white: [Bool]
    }

    let side: Int
    let squares: [Square]
    private let channels: Int, border: Int
    private let range: PixelRange

    /// Images under every square, and under the best of a class.
    static let imagesFirst = 8, imagesAgain = 24, bestOfClass = 4

    init(_ samples: Samples) {
        let height = samples.set.height
        let side = (height + 7) / 8, places = Array(Set(stride(from: 0, through: height - side, by: max(1, side / 2)) + [height - side])).sorted()
        channels = samples.set.channels
        border = (34 - height) / 2
        range = PixelRange(samples)
        self.side = side
        let colors = (0..<1 << channels).map { bits in (0..<samples.set.channels).map { bits >> $0 & 1 == 1 } }
        squares = colors.flatMap { white in places.flatMap { row in places.map { Square(row: row, column: $0, white: white) } } }
    }

    /// Forward passes over images that `best` takes.
    func forwards(classes: Int) -> Int { squares.count * Self.imagesFirst + classes * Self.bestOfClass * Self.imagesAgain }

    /// Lays a square on a network input (34, 34, channels).
    func stamp(_ square: Square, _ x: UnsafeMutablePointer<Float>) {
        forEachFloat(square) { at, channel in x[at] = square.white[channel] ? range.high[at] : range.low[at] }
    }

    /// What added to any image, within the range of pixels, makes the square: (34, 34, channels), normalised units.
    func perturbation(_ square: Square) -> [Float] {
        var delta = [Float](repeating: 0, count: 34 * 34 * channels)
        forEachFloat(square) { at, channel in delta[at] = (square.white[channel] ? 1 : -1) * (range.high[at] - range.low[at]) }
        return delta
    }

    /// For each class the square under which its margin, averaged over images predicted as other classes, is largest.
    /// `logits` takes pairs of an image and a square to rows of logits; `images` are drawn with `predictions` beside them.
    func best(classes: Int, images: [Int], predictions: [Int], logits: ([(image: Int, square: Square)]) -> [Float]) -> [Square] {
        let few = Array(images.prefix(Self.imagesFirst)), more = Array(images.prefix(Self.imagesAgain))
        let first = margins(squares, few, predictions, classes, logits)
        return (0..<classes).map { target in
            let ranked = squares.indices.sorted { (first[$0][target], $1) > (first[$1][target], $0) }.prefix(Self.bestOfClass).map { squares[$0] }
            let again = margins(ranked, more, predictions, classes, logits)
            return ranked[ranked.indices.max { again[$0][target] < again[$1][target] } ?? 0]
        }
    }

    /// (squares, classes): mean margins on those of `images` that are predicted as another class.
    private func margins(_ squares: [Square], _ images: [Int], _ predictions: [Int], _ classes: Int,
                         _ logits: ([(image: Int, square: Square)]) -> [Float]) -> [[Double]] {
        let rows = logits(squares.flatMap { square in images.map { (image: $0, square: square) } })
        return squares.indices.map { square in
            (0..<classes).map { target in
                var sum = 0.0, count = 0
                for (i, image) in images.enumerated() where predictions[image] != target {
                    let row = rows[(square * images.count + i) * classes..<(square * images.count + i + 1) * classes]
                    sum += Double(margin(row, of: target))
                    count += 1
                }
                return count > 0 ? sum / Double(count) : -.infinity
            }
        }
    }

    private func forEachFloat(_ square: Square, _ body: (_ at: Int, _ channel: Int) -> Void) {
        for y in square.row..<square.row + side {
            for x in square.column..<square.column + side {
                for channel in 0..<channels { body(((y + border) * 34 + x + border) * channels + channel, channel) }
            }
        }
    }
}
