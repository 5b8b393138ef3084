import CZlib
import HDF5

/// A small PNG file as it is decoded: 8 bits a sample (16 are cut to their upper 8), grey, colour or a palette, with or
/// without alpha, not interlaced. Source: ISO/IEC 15948.
public struct PNGFile: Sendable {
    public let width: Int, height: Int
    /// (height, width, 4): red, green, blue, alpha.
    public let pixels: [UInt8]

    /// Pixels of a side: what is stamped on an image is much smaller.
    public static let longestSide = 1024

    /// Throws `DatasetError` for what is no such file.
    public init(reading path: String) throws(DatasetError) {
        let bytes = try readingHDF5 { () throws(HDF5Error) in try Files.read(path, limit: 64 << 20) }
        var reader = try PNGReader(bytes, path)
        (width, height, pixels) = try reader.decoded()
    }
}

private struct PNGReader {
    private let path: String
    private var width = 0, height = 0, depth = 0, colour = 0
    private var palette: [UInt8] = [], transparency: [UInt8] = [], packed: [UInt8] = []

    private static let signature: [UInt8] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

    init(_ bytes: [UInt8], _ path: String) throws(DatasetError) {
        self.path = path
        guard bytes.starts(with: Self.signature) else { throw wrong("a PNG file", "another one") }
        var at = 8
        while at + 12 <= bytes.count {
            let length = Self.big(bytes[at..<at + 4]), kind = String(decoding: bytes[at + 4..<at + 8], as: UTF8.self)
            guard length <= bytes.count - at - 12 else { break }
            let body = bytes[at + 8..<at + 8 + length], end = at + 8 + length
            let sum = crc32(0, Array(bytes[at + 4..<end]), uInt(length + 4))
            guard Int(sum) == Self.big(bytes[end..<end + 4]) else {
                throw wrong("an undamaged file", "a wrong check sum in \(kind)")
            }
            if try take(kind, Array(body)) { return }
            at = end + 4
        }
        throw wrong("a whole PNG file", "one that was cut short")
    }

    /// True at the end of the picture.
    private mutating func take(_ kind: String, _ body: [UInt8]) throws(DatasetError) -> Bool {
        switch kind {
        case "IHDR":
            guard body.count == 13 else { throw wrong("a header of 13 bytes", "\(body.count)") }
            (width, height, depth, colour) = (Self.big(body[0..<4]), Self.big(body[4..<8]), Int(body[8]), Int(body[9]))
            let sides = 1...PNGFile.longestSide, isPlain = body[10...].allSatisfy { $0 == 0 }
            guard sides.contains(width), sides.contains(height) else {
                throw wrong("sides of 1 to \(PNGFile.longestSide) pixels", "\(width) x \(height)")
            }
            guard depth == 8 || depth == 16 && colour != 3, [0, 2, 3, 4, 6].contains(colour), isPlain else {
                throw wrong(
                    "8 or 16 bits a sample and no interlacing",
                    "\(depth) bits, colour type \(colour), interlacing \(body[12])")
            }
        case "PLTE": palette = body
        case "tRNS": transparency = body
        case "IDAT": packed += body
        case "IEND": return true
        default: break
        }
        return false
    }

    mutating func decoded() throws(DatasetError) -> (width: Int, height: Int, pixels: [UInt8]) {
        guard width > 0 else { throw wrong("a header", "none") }
        let samples = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][colour] ?? 1, step = samples * depth / 8, row = width * step
        var raw = [UInt8](repeating: 0, count: height * (row + 1)), length = uLong(raw.count)
        guard uncompress(&raw, &length, packed, uLong(packed.count)) == Z_OK, Int(length) == raw.count else {
            throw wrong("\(raw.count) bytes of pixels", "\(length) or damaged ones")
        }
        guard transparency.isEmpty || colour == 3 || depth == 8 else { throw wrong("a transparent colour of 8 bits a sample", "\(depth)") }
        try unfilter(&raw, row: row, step: step)
        var pixels: [UInt8] = []
        pixels.reserveCapacity(height * width * 4)
        for y in 0..<height {
            for x in 0..<width {
                let first = y * (row + 1) + 1 + x * step
                pixels += try rgba((0..<samples).map { raw[first + $0 * depth / 8] })
            }
        }
        return (width, height, pixels)
    }

    /// Undoes the filter of each row, whose number is its first byte.
    private func unfilter(_ raw: inout [UInt8], row: Int, step: Int) throws(DatasetError) {
        for y in 0..<height {
            let start = y * (row + 1), kind = raw[start]
            guard kind <= 4 else { throw wrong("filters 0 to 4", "\(kind)") }
            for x in 0..<row {
                let at = start + 1 + x
                let left = x >= step ? Int(raw[at - step]) : 0, up = y > 0 ? Int(raw[at - row - 1]) : 0
                let corner = x >= step && y > 0 ? Int(raw[at - row - 1 - step]) : 0
                let guess =
                    switch kind {
                    case 1: left
                    case 2: up
                    case 3: (left + up) / 2
                    case 4: Self.paeth(left, up, corner)
                    default: 0
                    }
                raw[at] = raw[at] &+ UInt8(guess)
            }
        }
    }

    private static func paeth(_ a: Int, _ b: Int, _ c: Int) -> Int {
        let p = a + b - c, (pa, pb, pc) = (abs(p - a), abs(p - b), abs(p - c))
        return pa <= pb && pa <= pc ? a : pb <= pc ? b : c
    }

    private func rgba(_ sample: [UInt8]) throws(DatasetError) -> [UInt8] {
        switch colour {
        case 0: return [sample[0], sample[0], sample[0], isTransparent(sample) ? 0 : 255]
        case 4: return [sample[0], sample[0], sample[0], sample[1]]
        case 2: return sample + [isTransparent(sample) ? 0 : 255]
        case 3:
            let at = Int(sample[0])
            guard 3 * at + 2 < palette.count else { throw wrong("colours of the palette", "number \(at)") }
            return Array(palette[3 * at..<3 * at + 3]) + [at < transparency.count ? transparency[at] : 255]
        default: return sample
        }
    }

    /// Whether a pixel has the one colour that tRNS makes transparent; 8 bits a sample, in words of 16.
    private func isTransparent(_ sample: [UInt8]) -> Bool {
        transparency.count == 2 * sample.count
            && sample.indices.allSatisfy { transparency[2 * $0] == 0 && transparency[2 * $0 + 1] == sample[$0] }
    }

    private func wrong(_ expected: String, _ got: String) -> DatasetError {
        .malformed(path: path, what: "PNG", expected: expected, got: got)
    }

    private static func big(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
    private static func big(_ bytes: [UInt8]) -> Int { big(bytes[...]) }
}
