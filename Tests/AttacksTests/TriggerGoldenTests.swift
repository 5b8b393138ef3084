import HDF5
import Testing
@testable import Attacks

/// Every trigger against numpy and torch in double: tools/reference_triggers.py and the file it wrote.
@Suite struct TriggerGoldenTests {
    static let shapes = [ImageShape(channels: 1, side: 28), ImageShape(channels: 3, side: 32)]

    /// Roundings to float32 between the formula and the stamped pixel, each of a number up to 1: half a unit of its last
    /// place is at most 2^-25. One more for the file. Pixels that are set are exact but for the file's rounding.
    ///
    /// blend: 1 - a, a t, two products, a sum. sig, chessboard: the addend, a sum. wanet: two for the fractions of each
    /// of four weights, one for their product, one for the product with the pixel, three sums. gain: the factor, which is
    /// above 1 and rounds by twice as much, the product. dark: factor, product. picture: as blend, and t itself.
    /// specific: as sig.
    static let roundings = [
        "patch": 0, "dba": 0, "dba-0": 0, "dba-1": 0, "blend": 5, "sig": 2, "chessboard": 2,
        "wanet": 4 * 4 + 3, "noise": 4 * 4 + 3, "frame": 0, "square": 0, "square:5": 0, "gain": 3, "moving": 0,
        "invert": 1, "dark": 2, "picture": 5 + 1, "dots": 0, "glass": 0, "specific": 2,
    ]

    @Test(arguments: shapes, roundings.keys.sorted()) func agrees(shape: ImageShape, name: String) throws {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        let file = try HDF5File.open("/\(folder)/Golden/triggers.h5")
        let seed = try #require(UInt64(try file.stringAttribute("seed") ?? "")), key = try #require(try file.intAttribute("key"))
        let dataset = "\(shape.channels)x\(shape.side)", stride = try #require(try file.intAttribute("stride", of: dataset))
        let row = try #require(try file.stringAttribute("names", of: dataset)?.split(separator: " ").firstIndex { $0 == name })
        let columns = (shape.count + stride - 1) / stride
        let expected = try file.read(dataset, as: Float.self, shape: [-1, columns]).values[row * columns..<(row + 1) * columns]
        let kind = name == "noise" ? "wanet" : String(name.prefix { $0 != "-" })
        let trigger = try Triggers.make(kind, shape: shape, seed: seed), image = Pixels(golden: shape.count), before = image.values
        if name == "noise" {
            trigger.disturb(image.base, key: key)
        } else {
            let share = name.hasPrefix("dba-") ? TriggerShare(name.hasSuffix("0") ? 0 : 1, of: 2) : nil
            trigger.stamp(image.base, share: share, key: key)
        }
        let after = image.values, allowed = Double((Self.roundings[name] ?? 0) + 1) * 0x1p-25
        var worst = 0.0, changed = 0
        for (i, addend) in zip(Swift.stride(from: 0, to: shape.count, by: stride), expected) {
            let error = abs(Double(after[i]) - Double(before[i]) - Double(addend))
            worst = error <= worst ? worst : error
            changed += addend != 0 ? 1 : 0
        }
        #expect(worst <= allowed, "\(name): off by \(worst), allowed \(allowed)")
        #expect(changed > 0 && image.guardsIntact)
    }
}

/// A few floats with guard words on both sides.
final class Pixels {
    private let memory: UnsafeMutableBufferPointer<Float>
    private static let margin = 64, guardWord: Float = -12345

    init(_ values: [Float]) {
        memory = .allocate(capacity: values.count + 2 * Self.margin)
        memory.initialize(repeating: Self.guardWord)
        for (i, value) in values.enumerated() { memory[Self.margin + i] = value }
    }

    /// The image of the golden file.
    convenience init(golden count: Int) {
        self.init(
            (0..<count).map { i in
                var z = UInt64(i) &+ 1 &+ 0x9E37_79B9_7F4A_7C15
                z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
                z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
                return Float(min(max(1.4 * (Double((z ^ (z >> 31)) >> 40) * 0x1p-24) - 0.2, 0), 1))
            })
    }

    deinit { memory.deallocate() }

    var base: UnsafeMutablePointer<Float> { memory.baseAddress.unsafelyUnwrapped + Self.margin }
    var values: [Float] { Array(memory[Self.margin..<memory.count - Self.margin]) }
    var guardsIntact: Bool {
        memory.prefix(Self.margin).allSatisfy { $0 == Self.guardWord } && memory.suffix(Self.margin).allSatisfy { $0 == Self.guardWord }
    }
}
