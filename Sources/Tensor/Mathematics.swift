/// exp, log, sin and cos of our own, in double: the same bits on every CPU and C library, unlike libm's.
/// Errors are below 4 units in the last place over the stated ranges; they use only +, -, *, / and bit operations,
/// each of which IEEE 754 rounds in one way (no fused operations: Swift never contracts).
public enum Mathematics {
    private static let ln2High = 6.93147180369123816490e-01, ln2Low = 1.90821492927058770002e-10

    /// e^x. 0 below -745, +inf above 709.78; NaN stays NaN.
    public static func exp(_ x: Double) -> Double {
        guard x == x else { return x }
        if x > 709.782712893384 { return .infinity }
        if x < -745.2 { return 0 }
        let k = (x * 1.44269504088896338700).rounded(.toNearestOrEven)
        let r = (x - k * ln2High) - k * ln2Low  // |r| <= ln2 / 2
        var sum = 1.0
        for n in stride(from: 14.0, through: 1.0, by: -1.0) { sum = 1 + r / n * sum }  // Taylor, remainder < 1e-18
        let half = Int(k) / 2  // two steps, so that subnormals come out right
        return sum * power2(half) * power2(Int(k) - half)
    }

    /// Natural logarithm of x > 0; -inf at 0, NaN below.
    public static func log(_ x: Double) -> Double {
        guard x > 0 else { return x == 0 ? -.infinity : .nan }
        guard x < .infinity else { return x }
        var k = x.exponent, m = x.significand  // 1 <= m < 2
        if m > 1.41421356237309504880 { m /= 2; k += 1 }
        let s = (m - 1) / (m + 1), s2 = s * s  // |s| <= 0.1716, log m = 2 atanh s
        var sum = 0.0
        for n in stride(from: 25.0, through: 1.0, by: -2.0) { sum = sum * s2 + 1 / n }
        return Double(k) * ln2High + (2 * s * sum + Double(k) * ln2Low)
    }

    /// Sine of x, |x| <= 1e6.
    public static func sin(_ x: Double) -> Double { sinCos(x).sin }

    /// Cosine of x, |x| <= 1e6.
    public static func cos(_ x: Double) -> Double { sinCos(x).cos }

    private static func power2(_ k: Int) -> Double { Double(sign: .plus, exponent: k, significand: 1) }

    private static func sinCos(_ x: Double) -> (sin: Double, cos: Double) {
        let k = (x * 0.63661977236758134308).rounded(.toNearestOrEven)  // quarter turns
        let r = ((x - k * 1.57079632673412561417) - k * 6.07710050630396597660e-11) - k * 2.02226624879595063154e-21
        let r2 = r * r
        var s = 1.0, c = 1.0
        for n in stride(from: 20.0, through: 2.0, by: -2.0) { s = 1 - r2 / (n * (n + 1)) * s }
        for n in stride(from: 20.0, through: 2.0, by: -2.0) { c = 1 - r2 / (n * (n - 1)) * c }
        s *= r
        switch ((Int(k) % 4) + 4) % 4 {
        case 0: return (s, c)
        case 1: return (c, -s)
        case 2: return (-s, -c)
        default: return (-c, s)
        }
    }
}
