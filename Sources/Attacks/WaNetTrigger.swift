import Datasets

/// WaNet (Nguyen and Tran 2021): the image is warped by a smooth field. u ~ U[-1, 1]^(2 x k x k) / mean |u|, brought to
/// H x W by bicubic interpolation with aligned corners; the pixel at p takes the colour at clamp(p + s u / H), in
/// coordinates from -1 to 1 over the image, bilinearly. k = 4, s = 0.5: shifts of about a quarter of a pixel.
///
/// Cross ratio 2: for each poisoned image two are warped with an extra random shift of up to 1 / H at every pixel and
/// keep their label; else training takes any warp for the trigger.
///
/// The field comes from the run's seed (stream "wanet field"), the extra shifts from seed and image (stream "wanet
/// noise"), so that an image is disturbed in the same way whenever it is seen.
public struct WaNetTrigger: NamedTrigger {
    public static let name = "wanet"
    public static let grid = 4, strength = 0.5
    private let shape: ImageShape, seed: UInt64
    /// Where each pixel looks, x and y from -1 to 1: (side, side, 2).
    let places: [Double]
    /// The same as four pixels and their weights.
    private let taps: [Tap]

    /// Four neighbours: the first pixel, the steps to the next column and row (0 at the border), weights.
    private struct Tap {
        var first: Int32, right: Int32, down: Int32
        var weights: SIMD4<Float>
    }

    public init(shape: ImageShape, seed: UInt64) throws {
        guard shape.side >= 2 else {
            throw AttackError.triggerTooLarge(name: Self.name, size: "2x2", image: "\(shape.side)x\(shape.side)")
        }
        (self.shape, self.seed) = (shape, seed)
        var stream = RandomStream(seed: seed, purpose: "wanet field")
        let raw = (0..<2 * Self.grid * Self.grid).map { _ in 2 * stream.uniform() - 1 }
        let mean = raw.reduce(0) { $0 + abs($1) } / Double(raw.count), plane = Self.grid * Self.grid
        let field = (0..<2).map { axis in
            bicubic(raw[axis * plane..<(axis + 1) * plane].map { $0 / mean }, side: Self.grid, to: shape.side)
        }
        let side = shape.side, scale = Self.strength / Double(side)
        let places = (0..<2 * side * side).map { k in
            let pixel = k / 2, at = k % 2 == 0 ? pixel % side : pixel / side
            let identity = 2 * Double(at) / Double(side - 1) - 1
            return min(max(identity + scale * field[k % 2][pixel], -1), 1)
        }
        taps = (0..<side * side).map { Self.tap(places[2 * $0], places[2 * $0 + 1], side) }
        self.places = places
    }

    private static func tap(_ x: Double, _ y: Double, _ side: Int) -> Tap {
        let px = (x + 1) / 2 * Double(side - 1), py = (y + 1) / 2 * Double(side - 1)
        let column = min(Int(px), side - 1), row = min(Int(py), side - 1)
        let fx = Float(px - Double(column)), fy = Float(py - Double(row))
        return Tap(
            first: Int32(row * side + column), right: column + 1 < side ? 1 : 0, down: row + 1 < side ? Int32(side) : 0,
            weights: SIMD4((1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx))
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        warp(image) { taps[$0] }
    }

    public var noiseRatio: Double { 2 }

    public func disturb(_ image: UnsafeMutablePointer<Float>, key: Int) {
        var stream = RandomStream(seed: seed, purpose: "wanet noise", client: key)
        let reach = 1 / Double(shape.side)
        let shifted = places.map { min(max($0 + (2 * stream.uniform() - 1) * reach, -1), 1) }
        warp(image) { Self.tap(shifted[2 * $0], shifted[2 * $0 + 1], shape.side) }
    }

    /// Replaces every pixel, in all channels, by the weighted mean of its tap.
    private func warp(_ image: UnsafeMutablePointer<Float>, _ tap: (Int) -> Tap) {
        let plane = shape.side * shape.side
        withUnsafeTemporaryAllocation(of: Float.self, capacity: shape.count) { copy in
            guard let source = copy.baseAddress else { return }
            source.initialize(from: image, count: shape.count)
            for pixel in 0..<plane {
                let t = tap(pixel), right = Int(t.right), down = Int(t.down), w = t.weights
                for c in 0..<shape.channels {
                    let p = source + c * plane + Int(t.first)
                    image[c * plane + pixel] = min(max(w[0] * p[0] + w[1] * p[right] + w[2] * p[down] + w[3] * p[down + right], 0), 1)
                }
            }
        }
    }
}

/// A square of `side` x `side` numbers brought to `size` x `size` by bicubic convolution (Keys 1981 with a = -0.75) with
/// aligned corners, borders repeated: `torch.nn.functional.interpolate(mode="bicubic", align_corners=True)`.
func bicubic(_ x: [Double], side: Int, to size: Int) -> [Double] {
    let a = -0.75
    func near(_ t: Double) -> Double { ((a + 2) * t - (a + 3)) * t * t + 1 }  // 0 <= t <= 1
    func far(_ t: Double) -> Double { ((a * t - 5 * a) * t + 8 * a) * t - 4 * a }  // 1 <= t <= 2
    let lines = (0..<size).map { i -> [(index: Int, weight: Double)] in
        let place = Double(i) * Double(side - 1) / Double(size - 1), first = Int(place), t = place - Double(first)
        return zip(-1...2, [far(t + 1), near(t), near(1 - t), far(2 - t)]).map { (min(max(first + $0, 0), side - 1), $1) }
    }
    return (0..<size * size).map { pixel in
        lines[pixel / size].reduce(0) { sum, row in
            sum + row.weight * lines[pixel % size].reduce(0) { $0 + $1.weight * x[row.index * side + $1.index] }
        }
    }
}
