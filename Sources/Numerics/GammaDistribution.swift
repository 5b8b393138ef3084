import Tensor

/// The gamma distribution on x > 0, density x^(shape - 1) e^(-x / scale) / (Gamma(shape) scale^shape). In double with our
/// own exp and log: the same bits everywhere.
package struct GammaDistribution: Equatable {
    package var shape: Double, scale: Double
    /// Values that all but agree fit an ever larger shape.
    package static let largestShape = 1e6

    package init(shape: Double, scale: Double) { (self.shape, self.scale) = (shape, scale) }

    /// The distribution of greatest likelihood; nil unless there are two values or more, all above 0.
    ///
    /// With s = log mean - mean log it has log k - digamma(k) = s (Newton from Minka's closed form) and scale mean / k.
    package init?(fitting values: [Double]) {
        guard values.count >= 2, values.allSatisfy({ $0 > 0 && $0.isFinite }) else { return nil }
        let n = Double(values.count), mean = values.reduce(0, +) / n
        let s = Mathematics.log(mean) - values.reduce(0) { $0 + Mathematics.log($1) } / n
        guard s > 0.5 / Self.largestShape else {  // log k - digamma(k) > 1 / 2k
            self.init(shape: Self.largestShape, scale: mean / Self.largestShape)
            return
        }
        var k = (3 - s + ((s - 3) * (s - 3) + 24 * s).squareRoot()) / (12 * s)
        for _ in 0..<50 {
            let step = (Mathematics.log(k) - digamma(k) - s) / (1 / k - trigamma(k))
            k = max(k - step, k / 10)
            guard abs(step) > 1e-15 * k else { break }
        }
        self.init(shape: k, scale: mean / k)
    }

    /// P(X > x): the regularised upper incomplete gamma function of x / scale. Relative error below 1e-9 for shapes up to
    /// `largestShape`, mostly below 1e-13; absolute where it is near 1.
    package func tail(_ x: Double) -> Double {
        guard x > 0 else { return 1 }
        let t = x / scale, front = Mathematics.exp(shape * Mathematics.log(t) - t - logGamma(shape))
        return t < shape + 1 ? 1 - front * series(t) : front * fraction(t)
    }

    /// sum over n of t^n / (a (a + 1) ... (a + n)), for t < a + 1.
    private func series(_ t: Double) -> Double {
        var term = 1 / shape, sum = term, a = shape
        for _ in 0..<100_000 {
            a += 1
            term *= t / a
            sum += term
            if term < 1e-17 * sum { break }
        }
        return sum
    }

    /// 1 / (t + 1 - a - 1 (1 - a) / (t + 3 - a - 2 (2 - a) / ...)) by Lentz's method, for t >= a + 1.
    private func fraction(_ t: Double) -> Double {
        var b = t + 1 - shape, c = 1e300, d = 1 / b, value = d
        for i in 1..<100_000 {
            let n = Double(i), a = -n * (n - shape)
            b += 2
            d = 1 / nonzero(a * d + b)
            c = nonzero(b + a / c)
            let factor = c * d
            value *= factor
            if abs(factor - 1) < 1e-16 { break }
        }
        return value
    }

    private func nonzero(_ x: Double) -> Double { abs(x) < 1e-300 ? 1e-300 : x }
}

// Asymptotic series (Abramowitz and Stegun 6.1.41, 6.3.18, 6.4.12) from 10 on, where the first term left out is below
// 1e-16; recurrence below. x > 0.

/// log Gamma(x).
package func logGamma(_ x: Double) -> Double {
    var x = x, product = 1.0
    while x < 10 { product *= x; x += 1 }
    let r = 1 / x, r2 = r * r
    let tail = horner([1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188, -691.0 / 360_360, 1.0 / 156, -3617.0 / 122_400], r2) * r
    return (x - 0.5) * Mathematics.log(x) - x + 0.91893853320467274178 + tail - Mathematics.log(product)
}

/// The derivative of log Gamma.
package func digamma(_ x: Double) -> Double {
    var x = x, sum = 0.0
    while x < 10 { sum += 1 / x; x += 1 }
    let r2 = 1 / (x * x)
    let tail = horner([1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32_760, 1.0 / 12, -3617.0 / 8160], r2) * r2
    return Mathematics.log(x) - 0.5 / x - tail - sum
}

/// The derivative of digamma.
package func trigamma(_ x: Double) -> Double {
    var x = x, sum = 0.0
    while x < 10 { sum += 1 / (x * x); x += 1 }
    let r = 1 / x, r2 = r * r
    let tail = horner([1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6, -3617.0 / 510], r2) * r2 * r
    return r + 0.5 * r2 + tail + sum
}

private func horner(_ coefficients: [Double], _ x: Double) -> Double {
    coefficients.reversed().reduce(0) { $0 * x + $1 }
}
