import Attacks
import Datasets
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// What tells images with a trigger from images without, and what the trigger does to them.
@Suite struct TriggerFilterTests {
    /// The filter solves (S + ridge) w = d up to a multiple of u, at right angles to u; S computed here in double.
    @Test func weightsSolveTheirEquations() {
        var stream = RandomStream(seed: 1, purpose: "filter test")
        let directions = (0..<4).map { _ in (0..<784).map { _ in stream.normal() } }
        let samples = samples(60) { _, stream in
            let weights = directions.map { _ in 12 * stream.normal() }
            return (0..<784).map { k in 128 + zip(weights, directions).reduce(0) { $0 + $1.0 * $1.1[k] } }
        }
        let width = 34 * 34, images = (0..<60).map { loaded($0, samples).map(Double.init) }
        let difference = zip(loaded(0, samples), loaded(1, samples)).map { $0 - $1 },
            nuisance = zip(loaded(2, samples), loaded(3, samples)).map { $0 - $1 }
        for blind in [false, true] {
            let w = TriggerFilter(samples, images: Array(0..<60), width: width, threads: 2).weights(
                difference, blindTo: blind ? nuisance : nil
            ).map(Double.init)
            let mean = (0..<width).map { k in images.reduce(0) { $0 + $1[k] } / 60 }
            var residual = (0..<width).map { Double(difference[$0]) - Double(DetectionSettings.ridge) * w[$0] }
            for image in images {
                let centred = zip(image, mean).map { $0 - $1 }, part = dot(centred, w) / 60
                for k in 0..<width { residual[k] -= part * centred[k] }
            }
            let u = nuisance.map(Double.init), along = dot(residual, u) / dot(u, u)
            if blind {
                #expect(abs(dot(w, u) / (dot(w, w) * dot(u, u)).squareRoot()) <= 1e-4)
                for k in 0..<width { residual[k] -= along * u[k] }
            }
            #expect(dot(residual, residual) < 1e-5 * dot(difference.map(Double.init), difference.map(Double.init)), "blind \(blind)")
        }
    }

    /// A pattern a twelfth as strong as what images differ by is told from images without, from a group 60 of whose 105 images have it.
    @Test func faintPatternsAreTold() {
        let samples = smooth(400) { image, k in image % 4 == 0 ? 10 * ((k / 28 + k % 28) / 3 % 2 == 0 ? 1.0 : -1.0) : 0 }
        let filter = TriggerFilter(samples, images: Array(0..<400), width: 34 * 34, threads: 2)
        func mean(_ images: [Int]) -> [Float] {
            let rows = images.map { loaded($0, samples) }
            return rows[0].indices.map { k in rows.reduce(0) { $0 + $1[k] } / Float(rows.count) }
        }
        let group = Array(0..<60) + stride(from: 60, to: 240, by: 4), others = (240..<400).filter { $0 % 4 != 0 }  // 60 of 105 have it
        let w = filter.weights(zip(mean(group), mean(others)).map { $0 - $1 }, blindTo: nil)
        let values = filter.values(Array(240..<400), w)
        let with = (0..<160).filter { $0 % 4 == 0 }.map { values[$0] }, without = (0..<160).filter { $0 % 4 != 0 }.map { values[$0] }
        #expect(quantile(0.02, with) > quantile(0.98, without))
    }

    /// An added pattern keeps the spread of pixels, a blended image a part of it, a patch none; laid on and taken off they come
    /// out as they went in.
    @Test func overlaysDoWhatTriggersDo() throws {
        for (name, keeps) in [("patch", 0.0), ("blend", 0.8), ("sig", 1.0)] {
            let clean = samples(600) { _, stream in (0..<784).map { _ in 60 + 130 * stream.uniform() } }
            let backdoor = Backdoor(
                trigger: try Triggers.make(name, shape: ImageShape(channels: 1, side: 28), seed: 1), relabeling: .target(0))
            var stream = RandomStream(seed: 1, purpose: "overlay test")
            let mixed = clean.poisoned(Poisoning(backdoor, fraction: 0.5, cover: 0), using: &stream), stamped = clean.triggered(backdoor)
            let range = PixelRange(clean), overlay = Overlay(mixed.poisonedPositions, mixed, range)
            let touched = (0..<34 * 34).filter { range.inside[$0] && loaded(0, clean)[$0] != loaded(0, stamped)[$0] }
            #expect(
                abs(touched.reduce(0) { $0 + Double(overlay.keeps[$1]) } / Double(touched.count) - keeps) <= 0.03, Comment(rawValue: name))
            for image in 0..<20 {
                var on = loaded(image, clean), off = loaded(image, stamped)
                on.withUnsafeMutableBufferPointer { x in x.baseAddress.map { range.lay(overlay, on: $0) } }
                off.withUnsafeMutableBufferPointer { x in x.baseAddress.map { range.takeOff(overlay, from: $0) } }
                #expect(distance(on, loaded(image, stamped), touched) < 0.1, Comment(rawValue: name))
                if keeps > 0 { #expect(distance(off, loaded(image, clean), touched) < 0.15, Comment(rawValue: name)) }
            }
            #expect(
                overlay.carriers(among: Array(0..<600), mixed, range) == (keeps == 0 ? mixed.poisonedPositions.sorted() : []),
                Comment(rawValue: name))
        }
    }

    /// Mean distance of normalised pixels.
    private func distance(_ a: [Float], _ b: [Float], _ places: [Int]) -> Double {
        places.reduce(0) { $0 + Double(abs(a[$1] - b[$1])) } / Double(places.count)
    }

    private func loaded(_ image: Int, _ samples: Samples) -> [Float] {
        var x = [Float](repeating: 0, count: 34 * 34)
        x.withUnsafeMutableBufferPointer { x in if let base = x.baseAddress { samples.load(image, into: base) } }
        return x
    }

    /// Images of slow waves, of a deviation of some 120 grey levels, with something added.
    private func smooth(_ count: Int, _ added: @escaping (_ image: Int, _ pixel: Int) -> Double) -> Samples {
        samples(count) { image, stream in
            let parts = (0..<6).map { _ in (stream.normal(), stream.normal(), stream.uniform()) }
            return (0..<784).map { k in
                let x = Double(k % 28) / 28, y = Double(k / 28) / 28
                return 128 + 40 * parts.reduce(0) { $0 + $1.0 * (x - $1.2) + $1.1 * (y - $1.2) } + added(image, k)
            }
        }
    }

    private func samples(_ count: Int, _ pixels: (_ image: Int, _ stream: inout RandomStream) -> [Double]) -> Samples {
        var stream = RandomStream(seed: 2, purpose: "filter test images")
        let images = (0..<count).flatMap { image in pixels(image, &stream).map { UInt8(min(255, max(0, $0.rounded()))) } }
        let set = ImageSet(channels: 1, height: 28, width: 28, classes: 10, images: images, labels: (0..<count).map { UInt16($0 % 10) })
        return Samples(set, normalization: Normalization(mean: [0.5], std: [0.25]))
    }
}
