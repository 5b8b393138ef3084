import KernelTable

/// The hidden layers, each followed by ReLU and a bound. Which of them a network has, and what depends on its head, `ClampNet` says.
public enum Layer: Int, CaseIterable, Sendable {
    case conv1, conv2, conv3, conv4, conv5, conv6, fc1, head1, head2, head3

    /// The first six.
    public static let convolutions = Array(allCases.prefix(6))
    /// The layers that every network has.
    static let trunk = Array(allCases.prefix(7))
    /// Channels of the convolutions and units of fc1, and the first bound of each among all bounds.
    fileprivate static let trunkUnits = [32, 32, 64, 64, 128, 128, ClampNet.hidden], trunkOffsets = [0, 32, 64, 128, 192, 320, 448]
    fileprivate static let trunkBounds = 576

    public var name: String { "\(self)" }
    /// Height and width of the layer's output before pooling.
    public var side: Int { [32, 32, 16, 16, 8, 8, 1, 1, 1, 1][rawValue] }
    var isOfHead: Bool { rawValue >= Self.head1.rawValue }
}

/// One parameter tensor: its canonical name and shape, and where its blocked form lies in the flat vector.
///
/// Blocked layout (the format in memory; HDF5 files hold the canonical one):
/// - convolution (O, I, 3, 3) -> (9 taps, O / 32, I, 32): one panel of 32 output channels after another;
/// - fc1 (O, I) -> (O / 32, I, 32) with the inputs in the order of the pooled maps, (C / 32, H, W, 32);
/// - a head's layer and fc2 (O, I) -> (ceil(O / 32), I, 32), biases -> ceil(O / 32) * 32; what is beyond O stays zero.
public struct ParameterTensor: Sendable {
    public let name: String
    public let shape: [Int]
    public let offset: Int
    public let count: Int  // floats of the blocked form, padding included

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
        if inputs == ClampNet.flattened {  // (C, H, W) to (C / 32, H, W, 32)
            let c = input / 16, pixel = input % 16
            input = (c / 32 * 16 + pixel) * 32 + c % 32
        }
        return offset + (output / 32 * inputs + input) * 32 + output % 32
    }
}

/// The topology: a fixed trunk of six 3x3 convolutions (32, 32, pool, 64, 64, pool, 128, 128, pool) and the dense layer fc1, a
/// head of up to three more dense layers, and the output layer fc2. Free are the input channels, the classes and the head.
public struct ClampNet: Sendable, Equatable, CustomStringConvertible {
    public static let side = 32  // input height and width
    public static let flattened = 2048  // inputs of fc1
    public static let hidden = Head.inputs  // units of fc1

    public let channels: Int  // 1 or 3
    public let classes: Int  // 2 to 1000
    public let head: Head
    /// The hidden layers in the order of the forward pass.
    public let layers: [Layer]
    /// conv1/weight, conv1/bias, ... fc1, head1 to head3 where there are such, fc2.
    public let tensors: [ParameterTensor]
    public let parameterFloats: Int

    public static func == (a: ClampNet, b: ClampNet) -> Bool {
        a.channels == b.channels && a.classes == b.classes && a.head == b.head
    }

    public init(channels: Int, classes: Int, head: Head = .none) {
        precondition((channels == 1 || channels == 3) && (2...1000).contains(classes))
        self.channels = channels
        self.classes = classes
        self.head = head
        layers = Array(Layer.allCases.prefix(Layer.trunk.count + head.pairs))
        var tensors: [ParameterTensor] = [], offset = 0
        func add(_ layer: String, _ weight: [Int]) {
            let outputs = (weight[0] + 31) / 32 * 32
            for (suffix, shape, count) in [("weight", weight, outputs * weight[1...].reduce(1, *)), ("bias", [weight[0]], outputs)] {
                tensors.append(ParameterTensor(name: "\(layer)/\(suffix)", shape: shape, offset: offset, count: count))
                offset += count
            }
        }
        var inputs = channels
        for layer in Layer.convolutions {
            add(layer.name, [Layer.trunkUnits[layer.rawValue], inputs, 3, 3])
            inputs = Layer.trunkUnits[layer.rawValue]
        }
        add("fc1", [ClampNet.hidden, ClampNet.flattened])
        inputs = ClampNet.hidden
        for layer in layers where layer.isOfHead {
            add(layer.name, [head.width, inputs])
            inputs = head.width
        }
        add("fc2", [classes, inputs])
        self.tensors = tensors
        parameterFloats = offset
    }

    public var description: String { "\(channels) channels, \(classes) classes" + (head == .none ? "" : ", head \(head)") }

    /// Channels of a convolution, units of a dense layer.
    public func units(_ layer: Layer) -> Int { layer.isOfHead ? head.width : Layer.trunkUnits[layer.rawValue] }
    /// Position of the layer's first bound among all bounds.
    public func boundOffset(_ layer: Layer) -> Int {
        layer.isOfHead ? Layer.trunkBounds + (layer.rawValue - Layer.head1.rawValue) * head.width : Layer.trunkOffsets[layer.rawValue]
    }
    public func bounds(of layer: Layer) -> Range<Int> { boundOffset(layer)..<boundOffset(layer) + units(layer) }
    /// Channels and units, each with its bound: 576 without a head.
    public var totalBounds: Int { Layer.trunkBounds + head.pairs * head.width }
    /// The layer that fc2 reads: fc1 without a head.
    public var lastHidden: Layer { layers[layers.count - 1] }

    /// Classes rounded up to whole blocks: the width of a row of logits.
    public var logitStride: Int { (classes + 31) / 32 * 32 }
    /// Floats of one input image: (34, 34, channels), zero border included.
    public var inputFloats: Int { (ClampNet.side + 2) * (ClampNet.side + 2) * channels }
    /// Trainable numbers, without padding.
    public var parameterCount: Int { tensors.reduce(0) { $0 + $1.canonicalCount } }

    /// Multiply-adds of one image's forward pass as direct convolutions and products: 38.9 million for 3 channels, 10 classes, no head.
    public var multiplyAdds: Int {
        layers.reduce(output.weight.canonicalCount) { $0 + weight($1).canonicalCount * $1.side * $1.side }
    }

    public func weight(_ layer: Layer) -> ParameterTensor { tensors[2 * layer.rawValue] }
    public func bias(_ layer: Layer) -> ParameterTensor { tensors[2 * layer.rawValue + 1] }
    /// fc2's tensors.
    public var output: (weight: ParameterTensor, bias: ParameterTensor) { (tensors[tensors.count - 2], tensors[tensors.count - 1]) }
}
