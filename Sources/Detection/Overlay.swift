import Attacks

/// What a trigger does to images, told from images that carry it and images that do not: pixel x becomes with + keeps (x - without).
/// Under an added pattern pixels keep all of their spread, under a blended image a part, under a patch that replaces them none.
package struct Overlay {
    /// For each float of the network's input, in its units.
    package var keeps: [Float], with: [Float], without: [Float]

    package init(adding perturbation: [Float]) {
        (keeps, with) = (perturbation.map { _ in 1 }, perturbation)
        without = perturbation.map { _ in 0 }
    }

    /// From means and spreads of images that carry a trigger, and of all others; a spread that is less by under a tenth is taken for equal.
    package init(_ carriers: [Int], _ samples: Samples, _ range: PixelRange) {
        let carrying = Set(carriers)
        let under = moments(carriers, samples, range),
            beside = moments((0..<samples.count).filter { !carrying.contains($0) }, samples, range)
        (with, without) = (under.mean, beside.mean)
        keeps = range.std.indices.map { k in
            let part = beside.deviation[k] * range.std[k] < 1e-3 ? 1 : under.deviation[k] / beside.deviation[k]
            return part < DetectionSettings.spreadKept ? part : 1
        }
    }

    /// The images that have the very pixels that the trigger sets: those that keep less than a quarter of their spread, four values or
    /// more, have on
    /// average gone nine tenths of the way from `without` to `with`.
    package func carriers(among images: [Int], _ samples: Samples, _ range: PixelRange) -> [Int] {
        let set = keeps.indices.filter { keeps[$0] < DetectionSettings.pixelSet && with[$0] != without[$0] }
        guard set.count >= DetectionSettings.leastPixelsSet else { return [] }
        var carriers: [Int] = []
        range.forEachInput(images, of: samples) { image, x in
            let way = set.reduce(0) { $0 + (x[$1] - without[$1]) / (with[$1] - without[$1]) }
            if way >= DetectionSettings.carrierFrom * Float(set.count) { carriers.append(image) }
        }
        return carriers
    }
}

extension PixelRange {
    package func lay(_ overlay: Overlay, on x: UnsafeMutablePointer<Float>) {
        for k in inside.indices where inside[k] {
            x[k] = min(max(overlay.with[k] + overlay.keeps[k] * (x[k] - overlay.without[k]), low[k]), high[k])
        }
    }

    /// What was under the trigger, as far as it can be told: pixels that keep less than half of their spread get no more than
    /// twice what is left of it.
    package func takeOff(_ overlay: Overlay, from x: UnsafeMutablePointer<Float>) {
        for k in inside.indices where inside[k] {
            x[k] = min(
                max(overlay.without[k] + (x[k] - overlay.with[k]) / max(DetectionSettings.leastKept, overlay.keeps[k]), low[k]), high[k])
        }
    }
}

/// Mean and standard deviation of each float of the network's input.
private func moments(_ images: [Int], _ samples: Samples, _ range: PixelRange) -> (mean: [Float], deviation: [Float]) {
    let floats = range.inside.count, n = Double(max(1, images.count))
    var sums = [Double](repeating: 0, count: floats), squares = sums
    range.forEachInput(images, of: samples) { _, x in
        for k in 0..<floats {
            let value = Double(x[k])
            sums[k] += value
            squares[k] += value * value
        }
    }
    return (sums.map { Float($0 / n) }, (0..<floats).map { Float(max(0, squares[$0] / n - sums[$0] / n * (sums[$0] / n)).squareRoot()) })
}
