/// x = (pixel / 255 - mean) / std per channel, taken from the FM data as the server holds it (a client's data never
/// reach the server). 28 x 28 images get a border of two raw-zero pixels first.
public struct Normalization: Equatable, Sendable {
    public var mean: [Float], std: [Float]

    public init(mean: [Float], std: [Float]) {
        self.mean = mean
        self.std = std
    }

    /// Writes an image (channels, side, side) of values in [0, 1] as network input: (34, 34, channels) with a zero
    /// border, which must already be zero.
    public func write(_ pixels: UnsafePointer<Float>, side: Int, to x: UnsafeMutablePointer<Float>) {
        let channels = mean.count, pad = (32 - side) / 2
        for c in 0..<channels {
            let scale = 1 / std[c], shift = -mean[c] / std[c]
            for y in 0..<32 {
                let row = x + ((y + 1) * 34 + 1) * channels + c
                let inside = y >= pad && y < pad + side
                for j in 0..<32 {
                    let pixel = inside && j >= pad && j < pad + side ? pixels[(c * side + y - pad) * side + j - pad] : 0
                    row[j * channels] = pixel * scale + shift
                }
            }
        }
    }
}
