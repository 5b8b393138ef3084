import KernelTable

/// The hidden layers, each followed by ReLU and a bound.
public enum Layer: Int, CaseIterable, Sendable {
    case conv1, conv2, conv3, conv4, conv5, conv6, fc1

    public var name: String { "\(self)" }
    /// Channels of a convolution, units of the dense layer.
    public var channels: Int { [32, 32, 64, 64, 128, 128, 128][rawValue] }
    /// Height and width of the layer's output before pooling.
    public var side: Int { [32, 32, 16, 16, 8, 8, 1][rawValue] }
    /// Position of the layer's first bound among all bounds.
    public var boundOffset: Int { [0, 32, 64, 128, 192, 320, 448][rawValue] }
    public var bounds: Range<Int> { boundOffset..<boundOffset + channels }
    public static let totalBounds = 576
}

/// One parameter tensor: its canonical name and shape, and where its blocked form lies in the flat vector.
///
/// Blocked layout (the format in memory; HDF5 files hold the canonical one):
/// - convolution (O, I, 3, 3) -> (9 taps, O / 32, I, 32): one panel of 32 output channels after another;
/// - fc1 (O, I) -> (O / 32, I, 32) with the inputs in the order of the pooled maps, (C / 32, H, W, 32);
/// - fc2 (O, I) -> (ceil(O / 32), I, 32), biases -> ceil(O / 32) * 32; what is beyond O stays zero.
public struct ParameterTensor: Sendable {
    public let name: String
    public let shape: [Int]
    public let offset: Int
    public let count: Int      // floats of the blocked form, padding included

    public var canonicalCount: Int { shape.reduce(1, *) }

    /// Place in the flat blocked vector of canonical element `i` (row-major in `shape`).
    public func place(_ i: Int) -> Int {
        if shape.count == 1 { return offset + i }
        let inputs = shape[1]
        if shape.count == 4 {
            let tap = i % 9, input = i / 9 % inputs, output = i / (9 * inputs)
            return offset + tap * inputs * shape[0] + (output / 32 * inputs + input) * 32 + output % 32
        }
        let output = i / inputs
        var input = i % inputs
        if inputs == ClampNet.flattened {                       // (C, H, W) to (C / 32, H, W, 32)
            let c = input / 16, pixel = input % 16
            input = (c / 32 * 16 + pixel) * 32 + c % 32
        }
        return offset + (output / 32 * inputs + input) * 32 + output % 32
    }
}

/// The fixed topology: six 3x3 convolutions (32, 32, pool, 64, 64, pool, 128, 128, pool) and two dense layers. The only
/// freedom is 1 or 3 input channels and the number of classes.
public struct ClampNet: Sendable, Equatable {
    public static let side = 32          // input height and width
    public static let flattened = 2048   // inputs of fc1
    public static let hidden = 128       // units of fc1

    public let channels: Int             // 1 or 3
    public let classes: Int              // 2 to 1000
    public let tensors: [ParameterTensor]
    public let parameterFloats: Int

    public static func == (a: ClampNet, b: ClampNet) -> Bool { a.channels == b.channels && a.classes == b.classes }

    public init(channels: Int, classes: Int) {
        precondition((channels == 1 || channels == 3) && (2...1000).contains(classes))
        self.channels = channels
        self.classes = classes
        var tensors: [ParameterTensor] = [], offset = 0
        func add(_ layer: String, _ weight: [Int]) {
            let outputs = (weight[0] + 31) / 32 * 32
            for (suffix, shape, count) in [("weight", weight, outputs * weight[1...].reduce(1, *)), ("bias", [weight[0]], outputs)] {
                tensors.append(ParameterTensor(name: "\(layer)/\(suffix)", shape: shape, offset: offset, count: count))
                offset += count
            }
        }
        var inputs = channels
        for layer in Layer.allCases where layer != .fc1 {
            add(layer.name, [layer.channels, inputs, 3, 3])
            inputs = layer.channels
        }
        add("fc1", [ClampNet.hidden, ClampNet.flattened])
        add("fc2", [classes, ClampNet.hidden])
        self.tensors = tensors
        parameterFloats = offset
    }

    /// Classes rounded up to whole blocks: the width of a row of logits.
    public var logitStride: Int { (classes + 31) / 32 * 32 }
    /// Floats of one input image: (34, 34, channels), zero border included.
    public var inputFloats: Int { (ClampNet.side + 2) * (ClampNet.side + 2) * channels }
    /// Trainable numbers, without padding.
    public var parameterCount: Int { tensors.reduce(0) { $0 + $1.canonicalCount } }

    /// Multiply-adds of one image's forward pass as direct convolutions and products: 38.9 million for 3 channels, 10 classes.
    public var multiplyAdds: Int {
        let convolutions = Layer.allCases.dropLast().reduce(0) { $0 + tensors[2 * $1.rawValue].canonicalCount * $1.side * $1.side }
        return convolutions + tensors[12].canonicalCount + tensors[14].canonicalCount
    }

    func weight(_ layer: Int) -> ParameterTensor { tensors[2 * layer] }
    func bias(_ layer: Int) -> ParameterTensor { tensors[2 * layer + 1] }
}
