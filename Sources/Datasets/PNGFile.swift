import CZlib
import HDF5

/// A small PNG file as it is decoded to 8 bits a sample (16 are cut to their upper 8), grey, colour or a palette, with or
/// without alpha, interlaced or not. Source: ISO/IEC 15948.
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
    private var width = 0, height = 0, depth = 0, colour = 0, isInterlaced = false
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
            isInterlaced = body[12] == 1
            let sides = 1...PNGFile.longestSide, isPlain = body[10] == 0 && body[11] == 0 && body[12] <= 1
            guard sides.contains(width), sides.contains(height) else {
                throw wrong("sides of 1 to \(PNGFile.longestSide) pixels", "\(width) x \(height)")
            }
            let depths = [0: [1, 2, 4, 8, 16], 2: [8, 16], 3: [1, 2, 4, 8], 4: [8, 16], 6: [8, 16]]
            guard depths[colour]?.contains(depth) ?? false, isPlain else {
                throw wrong(
                    "colours and bits a sample as PNG has them",
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
        let samples = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][colour] ?? 1, bits = samples * depth
        let passes = isInterlaced ? Self.adam7.map { Pass($0, width, height, bits) } : [Pass((0, 0, 1, 1), width, height, bits)]
        var raw = [UInt8](repeating: 0, count: passes.reduce(0) { $0 + $1.bytes }), length = uLong(raw.count)
        guard uncompress(&raw, &length, packed, uLong(packed.count)) == Z_OK, Int(length) == raw.count else {
            throw wrong("\(raw.count) bytes of pixels", "\(length) or damaged ones")
        }
        guard transparency.isEmpty || colour == 3 || depth <= 8 else {
            throw wrong("a transparent colour of at most 8 bits a sample", "\(depth)")
        }
        var pixels = [UInt8](repeating: 0, count: height * width * 4), start = 0
        for pass in passes {
            try unfilter(&raw, from: start, pass, step: max(1, bits / 8))
            for y in 0..<pass.height {
                let first = start + y * (pass.row + 1) + 1
                for x in 0..<pass.width {
                    let value = try rgba((0..<samples).map { sample(raw, first, x * samples + $0) }), place = pass.place(x, y, width)
                    for k in 0..<4 { pixels[4 * place + k] = value[k] }
                }
            }
            start += pass.bytes
        }
        return (width, height, pixels)
    }

    /// First column and row, and steps, of the passes of an interlaced picture.
    private static let adam7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]

    /// The pixels of a picture that come together; a picture that is not interlaced has one pass.
    private struct Pass {
        let grid: (x: Int, y: Int, dx: Int, dy: Int)
        let width: Int, height: Int
        /// Bytes of a row, without that of its filter.
        let row: Int

        init(_ grid: (Int, Int, Int, Int), _ wholeWidth: Int, _ wholeHeight: Int, _ bits: Int) {
            self.grid = grid
            (width, height) = ((wholeWidth - grid.0 + grid.2 - 1) / grid.2, (wholeHeight - grid.1 + grid.3 - 1) / grid.3)
            row = (width * bits + 7) / 8
        }

        var bytes: Int { width > 0 ? height * (row + 1) : 0 }
        func place(_ x: Int, _ y: Int, _ wholeWidth: Int) -> Int { (grid.y + y * grid.dy) * wholeWidth + grid.x + x * grid.dx }
    }

    /// Sample number `k` of the row that begins at `first`; of 16 bits the upper 8.
    private func sample(_ raw: [UInt8], _ first: Int, _ k: Int) -> UInt8 {
        guard depth < 8 else { return raw[first + k * depth / 8] }
        let shift = 8 - depth - k * depth % 8
        return raw[first + k * depth / 8] >> UInt8(shift) & (1 << UInt8(depth) - 1)
    }

    /// Undoes the filter of each row, whose number is its first byte.
    private func unfilter(_ raw: inout [UInt8], from first: Int, _ pass: Pass, step: Int) throws(DatasetError) {
        let row = pass.row
        for y in 0..<(pass.width > 0 ? pass.height : 0) {
            let start = first + y * (row + 1), kind = raw[start]
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
        case 0:
            let grey = depth < 8 ? sample[0] * (255 / (1 << UInt8(depth) - 1)) : sample[0]
            return [grey, grey, grey, isTransparent(sample) ? 0 : 255]
        case 4: return [sample[0], sample[0], sample[0], sample[1]]
        case 2: return sample + [isTransparent(sample) ? 0 : 255]
        case 3:
            let at = Int(sample[0])
            guard 3 * at + 2 < palette.count else { throw wrong("colours of the palette", "number \(at)") }
            return Array(palette[3 * at..<3 * at + 3]) + [at < transparency.count ? transparency[at] : 255]
        default: return sample
        }
    }

    /// Whether a pixel has the one colour that tRNS makes transparent; at most 8 bits a sample, in words of 16.
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
