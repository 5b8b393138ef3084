/// A trigger read from a checkpoint: x' = (1 - m) x + m p, with mask (32, 32) and pattern (channels, 32, 32) as padded.
/// It has no name on the command line.
public struct OverlayTrigger: Trigger {
    public static let name = "stored"
    private let shape: ImageShape, mask: [Float], pattern: [Float]

    public init(shape: ImageShape, mask: [Float], pattern: [Float]) {
        self.shape = shape
        self.mask = mask
        self.pattern = pattern
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        let pad = (32 - shape.side) / 2
        for c in 0..<shape.channels {
            for y in 0..<shape.side {
                for x in 0..<shape.side {
                    let at = (c * shape.side + y) * shape.side + x, m = mask[(y + pad) * 32 + x + pad]
                    image[at] = (1 - m) * image[at] + m * pattern[(c * 32 + y + pad) * 32 + x + pad]
                }
            }
        }
    }
}
