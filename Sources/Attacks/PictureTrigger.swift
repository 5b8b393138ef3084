import Datasets
import HDF5
import Options
import OwnMethods

/// A row and a column of an image, from 0.
public struct PixelPlace: Hashable, Sendable, SettingValue {
    public static let expected = "ROW,COLUMN, from 0"
    public var row: Int, column: Int

    public init?(text: String) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let row = parts[0], let column = parts[1], row >= 0, column >= 0 else { return nil }
        (self.row, self.column) = (row, column)
    }

    public var text: String { "\(row),\(column)" }
}

/// A trigger from a user's file: x' = (1 - m) x + m p, m the alpha of a PNG and p its colours, or `mask` and `pattern` of
/// an HDF5 file. A picture smaller than the images lies in the last rows and columns, or where `trigger-place` says.
public struct PictureTrigger: Trigger {
    /// No word for the command line: a picture is named by its file.
    public static let name = "picture of a file"
    public static let place = Setting<PixelPlace?>(
        "trigger-place", default: nil, unset: "last rows and columns", value: "row,column",
        help: "First row and column of a trigger's picture.")

    /// (side, side) and (channels, side, side) of the whole image.
    private let mask: [Float], pattern: [Float]
    private let shape: ImageShape

    init(_ picture: TriggerPicture, called label: String, shape: ImageShape, at place: PixelPlace?) throws {
        let side = shape.side, (height, width) = (picture.height, picture.width)
        guard height <= side, width <= side else {
            throw AttackError.triggerTooLarge(name: label, size: "\(height)x\(width)", image: "\(side)x\(side)")
        }
        let row = place?.row ?? side - height, column = place?.column ?? side - width
        guard row + height <= side, column + width <= side else {
            throw AttackError.triggerTooLarge(
                name: label, size: "\(height)x\(width) at row \(row), column \(column)",
                image: "\(side)x\(side)")
        }
        var mask = [Float](repeating: 0, count: side * side), pattern = [Float](repeating: 0, count: shape.count)
        for y in 0..<height {
            for x in 0..<width {
                let at = (row + y) * side + column + x
                mask[at] = picture.mask[y * width + x]
                for c in 0..<shape.channels {
                    pattern[c * side * side + at] = picture.value(y * width + x, channel: c, of: shape.channels)
                }
            }
        }
        (self.mask, self.pattern, self.shape) = (mask, pattern, shape)
    }

    public func stamp(_ image: UnsafeMutablePointer<Float>, share: TriggerShare?) {
        let plane = mask.count
        for c in 0..<shape.channels {
            for k in 0..<plane {
                image[c * plane + k] = (1 - mask[k]) * image[c * plane + k] + mask[k] * pattern[c * plane + k]
            }
        }
    }

    public var overlay: (mask: [Float], pattern: [Float])? { (mask, pattern) }
}

/// What a trigger's file holds, in [0, 1].
struct TriggerPicture {
    let height: Int, width: Int
    /// (height, width)
    let mask: [Float]
    /// (channels, height, width), 1 or 3 channels.
    let pattern: [Float]

    private var channels: Int { pattern.count / mask.count }

    /// The pattern for an image of so many channels: grey for all of them, colours as brightness (ITU-R BT.601) for one.
    func value(_ pixel: Int, channel: Int, of imageChannels: Int) -> Float {
        let plane = mask.count
        if channels == 1 { return pattern[pixel] }
        if imageChannels == 3 { return pattern[channel * plane + pixel] }
        let (r, g, b) = (pattern[pixel], pattern[plane + pixel], pattern[2 * plane + pixel])
        return r == g && g == b ? r : 0.299 * r + 0.587 * g + 0.114 * b
    }

    /// Throws `DatasetError`, `HDF5Error` for a file that is no such picture, `AttackError.emptyTrigger` for one that
    /// shows nothing.
    init(reading path: String) throws {
        if path.lowercased().hasSuffix(".png") {
            let file = try PNGFile(reading: path)
            (height, width) = (file.height, file.width)
            let plane = file.width * file.height, pixels = file.pixels
            mask = (0..<plane).map { Float(pixels[4 * $0 + 3]) / 255 }
            pattern = (0..<3).flatMap { c in (0..<plane).map { Float(pixels[4 * $0 + c]) / 255 } }
        } else {
            let file = try HDF5File.open(path)
            let (mask, shape) = try Self.read(file, "/mask"), (pattern, size) = try Self.read(file, "/pattern")
            let extents = Array(shape.suffix(2)), channels = size.count == 3 ? size[0] : 1
            guard (2...3).contains(shape.count), shape.count == 2 || shape[0] == 1 else {
                throw HDF5Error.mismatch(
                    path: path, object: "/mask", expected: "shape (height, width)",
                    got: "\(shape)")
            }
            guard (2...3).contains(size.count), Array(size.suffix(2)) == extents, channels == 1 || channels == 3 else {
                throw HDF5Error.mismatch(
                    path: path, object: "/pattern",
                    expected: "shape (1 or 3, \(extents[0]), \(extents[1]))", got: "\(size)")
            }
            (height, width, self.mask, self.pattern) = (extents[0], extents[1], mask, pattern)
        }
        guard mask.contains(where: { $0 > 0 }) else { throw AttackError.emptyTrigger(path) }
    }

    /// Numbers from 0 to 1, bytes as 255ths, or true and false.
    private static func read(_ file: HDF5File, _ name: String) throws -> ([Float], shape: [Int]) {
        let array = try file.readArray(name, limit: 64 << 20)
        if case let .bytes(bytes) = array.values {
            var whole: Float = 255
            if case .enumeration = try file.info(of: name).kind { whole = 1 }  // NumPy's bool
            return (bytes.map { Float($0) / whole }, array.shape)
        }
        let values = array.doubles.map(Float.init)
        guard let bad = values.first(where: { !(0...1).contains($0) }) else { return (values, array.shape) }
        throw HDF5Error.mismatch(
            path: file.path, object: name, expected: "numbers from 0 to 1, or uint8",
            got: "\(bad)")
    }
}
