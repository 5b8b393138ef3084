import Tensor

/// Adam (0.9, 0.999, 1e-8) on bounds, in double; projected to z >= 0.
package struct BoundAdam {
    private var first: [Double], second: [Double]
    private var power1 = 1.0, power2 = 1.0

    package init(_ network: ClampNet) {
        first = [Double](repeating: 0, count: network.totalBounds)
        second = first
    }

    /// One step against `gradient` plus `penalty(i)`, the gradient of a penalty on bound i.
    package mutating func step(_ bounds: Bounds, _ gradient: FloatBuffer, _ rate: Double, penalty: (Int) -> Double = { _ in 0 }) {
        power1 *= 0.9
        power2 *= 0.999
        let z = bounds.buffer.base
        for i in first.indices {
            let g = Double(gradient.base[i]) + penalty(i)
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            let move = rate * (first[i] / (1 - power1)) / ((second[i] / (1 - power2)).squareRoot() + 1e-8)
            z[i] = Float(max(0, Double(z[i]) - move))
        }
    }
}
