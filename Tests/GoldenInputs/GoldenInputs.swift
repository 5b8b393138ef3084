import Network

/// What tests of several rooms feed to the network, by the formulas of tools/oracle.py.
public enum GoldenInputs {
    /// The generator: element i of tensor t, in [0, 1).
    public static func u(_ t: Int, _ i: Int) -> Double {
        var z = (UInt64(t) << 40) &+ UInt64(i) &+ 1 &+ 0x9E37_79B9_7F4A_7C15
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return Double((z ^ (z >> 31)) >> 40) * 0x1p-24
    }

    /// Number of a tensor's stream by its place among the network's: a head's, which stand before fc2's, are numbered from 24.
    private static func number(_ at: Int, _ network: ClampNet) -> Int {
        let head = 2 * Layer.head1.rawValue, fc2 = network.tensors.count - 2
        return at < head ? at : at < fc2 ? 24 + at - head : 14 + at - fc2
    }

    /// Weights by He's rule, uniform, and biases within 0.1.
    public static func parameters(_ network: ClampNet) -> Parameters {
        let p = Parameters(network)
        for (at, tensor) in network.tensors.enumerated() {
            let t = number(at, network)
            let scale = tensor.shape.count > 1 ? (6 / Double(tensor.shape[1...].reduce(1, *))).squareRoot() : 0.1
            p.setCanonical(tensor, (0..<tensor.canonicalCount).map { Float((2 * u(t, $0) - 1) * scale) })
        }
        return p
    }
}
