import Datasets

/// A faint texture that is another one in every image, and is made of the image itself: x' = clamp(x + a s), a = 16/255, s = +1 or -1
/// for each pixel, the same in all channels. The signs come from the seed and a hash of the image's coarse content (stream "specific
/// texture"): the means of 4x4 blocks over all channels, each rounded down to one of 8 levels, are the digits of a number that names
/// the stream. Images that differ in one digit have textures that have nothing in common, so no pattern can be taken off a
/// mean; what they share is that a texture is there.
///
/// In the spirit of ISSBA: Li, Li, Wu, Li, He and Lyu, "Invisible backdoor attack with sample-specific triggers", ICCV 2021. There a
/// trained encoder network writes a string into the image; here no network is used, and the texture is plain noise to the eye.
public struct SpecificTrigger: NamedTrigger {
    public static let name = "specific"
    /// In units of the pixels' range 0 to 1.
    public static let amplitude: Float = 16.0 / 255
    /// Blocks in a row and a column, and levels of their means: 16 digits of 3 bits.
    static let grid = 4, levels = 8
    private let shape: ImageShape, seed: UInt64

    public init(shape: ImageShape, seed: UInt64) { (self.shape, self.seed) = (shape, seed) }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        var stream = RandomStream(seed: seed, purpose: "specific texture", client: content(image)), signs: UInt64 = 0
        let plane = shape.side * shape.side
        for pixel in 0..<plane {
            if pixel % 64 == 0 { signs = stream.next() }
            let change = signs >> UInt64(pixel % 64) & 1 == 1 ? Self.amplitude : -Self.amplitude
            for c in 0..<shape.channels { image[c * plane + pixel] = min(max(image[c * plane + pixel] + change, 0), 1) }
        }
    }

    /// The number whose digits are the levels of the blocks, the first block's the lowest. Sums in double are exact: pixels have 24 bits.
    func content(_ image: UnsafePointer<Float>) -> Int {
        let side = shape.side, blocks = Self.grid * Self.grid
        var key = 0
        for block in (0..<blocks).reversed() {
            let rows = Self.range(block / Self.grid, of: side), columns = Self.range(block % Self.grid, of: side)
            var sum = 0.0
            for c in 0..<shape.channels {
                for row in rows { for column in columns { sum += Double(image[(c * side + row) * side + column]) } }
            }
            let mean = sum / Double(max(1, shape.channels * rows.count * columns.count))
            key = key * Self.levels + min(Int(mean * Double(Self.levels)), Self.levels - 1)
        }
        return key
    }

    /// The rows, or columns, of a block.
    private static func range(_ block: Int, of side: Int) -> Range<Int> { block * side / grid..<(block + 1) * side / grid }
}
