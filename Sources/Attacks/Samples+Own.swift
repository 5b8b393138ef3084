import OwnMethods

extension Samples {
    /// All images as they are held: stamped ones stamped, pixels rounded to 8 bits as files have them, and labels as
    /// training sees them. Arrays PREFIX_images (n, channels, side, side), PREFIX_labels (n), PREFIX_mean and PREFIX_std (channels).
    package func ownArrays(_ prefix: String) -> [(name: String, array: OwnArray)] {
        let size = set.imageBytes
        let pixels = [UInt8](unsafeUninitializedCapacity: count * size) { buffer, written in
            for i in 0..<count {
                withPixels(i) { image in
                    for k in 0..<size {
                        let pixel = UInt8(max(0, min(255, (image[k] * 255).rounded())))
                        buffer.initializeElement(at: i * size + k, to: pixel)
                    }
                }
            }
            written = count * size
        }
        return [
            ("\(prefix)_images", OwnArray(.bytes(pixels), [count, set.channels, set.height, set.width])),
            ("\(prefix)_labels", .whole((0..<count).map(label))),
            ("\(prefix)_mean", OwnArray(.float(normalization.mean), [set.channels])),
            ("\(prefix)_std", OwnArray(.float(normalization.std), [set.channels])),
        ]
    }
}
