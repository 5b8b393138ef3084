import Tensor

/// A counter-based stream of random numbers, named by what it is for: the same (seed, purpose, round, client) gives the
/// same numbers whatever else ran before it, on any number of threads. The generator is SplitMix64 (Steele et al. 2014)
/// started at a hash of the name; its whole state is one counter.
public struct RandomStream: RandomNumberGenerator, Sendable {
    private let key: UInt64
    private var counter: UInt64 = 0

    public init(seed: UInt64, purpose: String, round: Int = 0, client: Int = 0) {
        var hash = Self.mix(seed &+ 0x9E37_79B9_7F4A_7C15)
        for byte in purpose.utf8 { hash = Self.mix(hash ^ UInt64(byte)) }
        hash = Self.mix(hash ^ UInt64(bitPattern: Int64(round)))
        key = Self.mix(hash &+ Self.mix(UInt64(bitPattern: Int64(client)) ^ 0xD1B5_4A32_D192_ED03))
    }

    public mutating func next() -> UInt64 {
        counter &+= 1
        return Self.mix(key &+ counter &* 0x9E37_79B9_7F4A_7C15)
    }

    /// The stream as it will be after `count` more numbers.
    public func skipping(_ count: Int) -> RandomStream {
        var later = self
        later.counter &+= UInt64(count)
        return later
    }

    /// Uniform in [0, 1), 53 bits.
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Uniform in 0..<bound, without bias (rejection). `bound` > 0.
    public mutating func index(below bound: Int) -> Int {
        let n = UInt64(bound), limit = UInt64.max - UInt64.max % n
        while true {
            let x = next()
            if x < limit { return Int(x % n) }
        }
    }

    /// Standard normal of two numbers of the stream (Box-Muller; the second value of a pair is not used).
    public mutating func normal() -> Double {
        let radius = (-2 * Mathematics.log(1 - uniform())).squareRoot()
        return radius * Mathematics.cos(2 * Double.pi * uniform())
    }

    /// Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000). Used for Dirichlet draws.
    public mutating func gamma(shape: Double) -> Double {
        if shape < 1 {  // Gamma(a) = Gamma(a + 1) * U^(1/a)
            let g = gamma(shape: shape + 1)
            return g * Mathematics.exp(Mathematics.log(1 - uniform()) / shape)
        }
        let d = shape - 1.0 / 3, c = 1 / (9 * d).squareRoot()
        while true {
            let x = normal(), t = 1 + c * x
            guard t > 0 else { continue }
            let v = t * t * t
            if Mathematics.log(1 - uniform()) < x * x / 2 + d - d * v + d * Mathematics.log(v) { return d * v }
        }
    }

    /// A uniformly random permutation of 0..<count (Fisher-Yates).
    public mutating func permutation(_ count: Int) -> [Int] {
        var order = Array(0..<count)
        shuffle(&order)
        return order
    }

    /// Shuffles in place (Fisher-Yates).
    public mutating func shuffle<T>(_ values: inout [T]) {
        for i in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(i, index(below: i + 1)) }
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
