import Attacks
import Datasets
import Network
import Numerics
import Tensor

/// The search of `NeuralCleanse` for the smallest trigger that takes images into a class. Pixels x in [0, 1] become
///     (1 - m) x + m p,     m = (tanh a + 1) / 2 for each pixel,  p = (tanh b + 1) / 2 for each pixel and channel
/// and a, b minimise cross-entropy with the class plus c times the sum of m, by Adam. c starts at 0. When the share of images
/// taken was at least 0.99 for 5 steps it becomes 1e-3, and then grows by 2 after 5 such steps on end and falls by 2^1.5 after
/// 5 others. What is found is the trigger of the smallest mask among the steps that reach 0.99, else the last one. The search ends
/// early when c has both risen and fallen and the smallest mask was the same for 25 steps.
///
/// Source: Wang et al., IEEE S&P 2019, section IV, and its public code.
final class TriggerReversal {
    struct Schedule: Equatable, Sendable {
        /// Of the whole search; after each, c may change. Published: 1000.
        var steps: Int
        /// Batches in a step; published: 31. Images in a batch.
        var batches = 4, batch = 32
        /// Share of images taken that counts as success.
        var success = 0.99
        /// First c that is not 0, its factor up and down.
        var cost = 1e-3, up = 2.0, down = 2.0 * 2.0.squareRoot()
        /// Steps on end before c changes, and before the search ends.
        var patience = 5, endurance = 25
        /// Of Adam.
        var rate = 0.1, first = 0.5, second = 0.9, least = 1e-8

        /// Passes over images; without gradients of weights they count two thirds.
        func passes(classes: Int) -> Double { Double(classes * steps * batches * batch) * 2 / 3 }
    }

    struct Trigger: Sendable {
        /// (side, side), 0 to 1.
        let mask: [Float]
        /// (channels, side, side), 0 to 1.
        let pattern: [Float]

        /// L1 of the mask, in pixels.
        var norm: Double { mask.reduce(0) { $0 + Double($1) } }

        /// Changes an image (channels, side, side) in place.
        func stamp(_ pixels: UnsafeMutablePointer<Float>) {
            for k in pattern.indices {
                let m = mask[k % mask.count]
                pixels[k] = (1 - m) * pixels[k] + m * pattern[k]
            }
        }
    }

    struct Found: Sendable {
        let trigger: Trigger
        /// Share of images that it took in its step.
        let share: Double
        let passes: Double
    }

    private let samples: Samples, label: Int, schedule: Schedule
    private let area: Int, channels: Int
    /// a, then b, and Adam's moments of them.
    private(set) var values: [Double]  // (1 + channels, side, side)
    private var first: [Double], second: [Double], power1 = 1.0, power2 = 1.0
    private(set) var trigger: Trigger
    /// (batch, channels, side, side): pixels before the trigger, and gradients of the loss on pixels under it.
    private let pixels: FloatBuffer, gradients: FloatBuffer
    private let taken: Slots<Bool>

    /// Starts at a mask and a pattern from U[0, 1].
    init(_ samples: Samples, _ label: Int, _ schedule: Schedule, _ stream: inout RandomStream) {
        (self.samples, self.label, self.schedule) = (samples, label, schedule)
        (area, channels) = (samples.set.height * samples.set.width, samples.set.channels)
        values = (0..<(1 + channels) * area).map { _ in Self.inverse(stream.uniform()) }
        first = [Double](repeating: 0, count: values.count)
        second = first
        trigger = Trigger(mask: [], pattern: [])
        (pixels, gradients) = (FloatBuffer(schedule.batch * channels * area), FloatBuffer(schedule.batch * channels * area))
        taken = Slots([Bool](repeating: false, count: schedule.batch))
        update()
    }

    /// a with (tanh a + 1) / 2 = u, u kept off 0 and 1 by 1e-7.
    static func inverse(_ u: Double) -> Double {
        let kept = min(max(u, 1e-7), 1 - 1e-7)
        return 0.5 * Mathematics.log(kept / (1 - kept))
    }

    /// Goes on from other values.
    func start(_ values: [Double]) {
        self.values = values
        update()
    }

    /// The trigger of the present values.
    private func update() {
        func squashed(_ a: Double) -> Float { Float(1 / (1 + Mathematics.exp(-2 * a))) }
        trigger = Trigger(mask: values[..<area].map(squashed), pattern: values[area...].map(squashed))
    }

    /// The trainer holds the model, ready for gradients of bounds.
    func run(_ trainer: Trainer, _ stream: inout RandomStream) -> Found {
        var cost = Cost(schedule), best: (trigger: Trigger, norm: Double, share: Double)?, share = 0.0, steps = 0
        repeat {
            var hits = 0, norm = 0.0
            for _ in 0..<schedule.batches {
                norm += trigger.norm / Double(schedule.batches)
                hits += iterate(trainer, (0..<schedule.batch).map { _ in stream.index(below: samples.count) }, cost.value)
            }
            steps += 1
            share = Double(hits) / Double(schedule.batches * schedule.batch)
            if share >= schedule.success, norm < best?.norm ?? .infinity { best = (trigger, norm, share) }
            cost.finish(share, best: best?.norm)
        } while steps < schedule.steps && !cost.isOver
        return Found(
            trigger: best?.trigger ?? trigger, share: best?.share ?? share,
            passes: Double(steps * schedule.batches * schedule.batch) * 2 / 3)
    }

    /// One step of Adam on these positions. Returns how many of the images went to the class before it.
    func iterate(_ trainer: Trainer, _ positions: [Int], _ cost: Double) -> Int {
        let (gradient, hits) = slope(trainer, positions, cost)
        descend(gradient)
        return hits
    }

    /// The gradient of a and b, and how many of the images go to the class.
    func slope(_ trainer: Trainer, _ positions: [Int], _ cost: Double) -> (gradient: [Double], hits: Int) {
        let classes = trainer.network.classes, floats = channels * area
        trainer.sum.bounds.zero()
        _ = trainer.boundGradient(
            positions.count,
            load: { i, x in
                samples.withPixels(positions[i]) { image in
                    (pixels.base + i * floats).update(from: image, count: floats)
                    trigger.stamp(image)
                    samples.normalization.write(image, side: samples.set.height, to: x)
                }
            },
            loss: { i, y, dy in
                taken[i] = Loss.prediction(y, classes: classes) == label
                return Loss.crossEntropy(y, classes: classes, label: label, batch: positions.count, gradient: dy)
            }, image: { i, gradient in self.samples.pixels(ofInputGradient: gradient, into: self.gradients.base + i * floats) })
        return (gradient(positions.count, cost), (0..<positions.count).filter { taken[$0] }.count)
    }

    /// Of a and b, summed over the batch in order.
    private func gradient(_ images: Int, _ cost: Double) -> [Double] {
        let floats = channels * area
        var result = [Double](repeating: 0, count: values.count)
        for k in 0..<area { result[k] = cost }
        for i in 0..<images {
            for k in 0..<floats {
                let g = Double(gradients.base[i * floats + k])
                result[k % area] += g * (Double(trigger.pattern[k]) - Double(pixels.base[i * floats + k]))
                result[area + k] += g * Double(trigger.mask[k % area])
            }
        }
        for k in values.indices {  // d (tanh a + 1) / 2 = 2 m (1 - m) da
            let m = Double(k < area ? trigger.mask[k] : trigger.pattern[k - area])
            result[k] *= 2 * m * (1 - m)
        }
        return result
    }

    /// Adam's step.
    func descend(_ gradient: [Double]) {
        power1 *= schedule.first
        power2 *= schedule.second
        for (k, g) in gradient.enumerated() {
            first[k] = schedule.first * first[k] + (1 - schedule.first) * g
            second[k] = schedule.second * second[k] + (1 - schedule.second) * g * g
            values[k] -= schedule.rate * (first[k] / (1 - power1)) / ((second[k] / (1 - power2)).squareRoot() + schedule.least)
        }
        update()
    }

    /// c, and whether the search is over.
    struct Cost {
        private(set) var value = 0.0, isOver = false
        private let schedule: Schedule
        private var successes = 0, ups = 0, downs = 0, same = 0, rose = false, fell = false, best = Double.infinity

        init(_ schedule: Schedule) { self.schedule = schedule }

        /// After a step that took this share of its images; `best`: the smallest mask so far that reached success.
        mutating func finish(_ share: Double, best now: Double?) {
            if let now { same = now >= best ? same + 1 : 0 }
            best = min(best, now ?? .infinity)
            isOver = rose && fell && same >= schedule.endurance
            let success = share >= schedule.success
            successes = value == 0 && success ? successes + 1 : 0
            if successes >= schedule.patience { (value, ups, downs, rose, fell) = (schedule.cost, 0, 0, false, false) }
            (ups, downs) = success ? (ups + 1, 0) : (0, downs + 1)
            if ups >= schedule.patience {
                (value, ups, rose) = (value * schedule.up, 0, true)
            } else if downs >= schedule.patience {
                (value, downs, fell) = (value / schedule.down, 0, true)
            }
        }
    }
}
