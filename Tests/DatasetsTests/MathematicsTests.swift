import Glibc
import Tensor
import Testing
@testable import Datasets

/// Our functions against the C library's, whose errors are below 1 unit in the last place.
@Suite struct MathematicsTests {
    /// The distance in units of the last place of `truth`.
    private func units(_ value: Double, _ truth: Double) -> Double {
        value == truth ? 0 : abs(value - truth) / max(truth.ulp, .leastNonzeroMagnitude)
    }

    private func sweep(_ points: Int, _ range: ClosedRange<Double>, bound: Double, _ ours: (Double) -> Double, _ theirs: (Double) -> Double)
    {
        var stream = RandomStream(seed: 11, purpose: "mathematics"), worst = 0.0
        for _ in 0..<points {
            let x = range.lowerBound + (range.upperBound - range.lowerBound) * stream.uniform()
            let error = units(ours(x), theirs(x))
            worst = error <= worst ? worst : error  // a NaN is kept
        }
        #expect(worst <= bound, "in \(range)")
    }

    @Test func exponential() {
        for range in [-1.0...1, -40.0...40, -708.0...709.7, -1e-8...1e-8] { sweep(50_000, range, bound: 4, Mathematics.exp, Glibc.exp) }
        sweep(50_000, -745...(-708), bound: 4, Mathematics.exp, Glibc.exp)  // subnormal results
        #expect(Mathematics.exp(0) == 1 && Mathematics.exp(710) == .infinity && Mathematics.exp(-746) == 0)
        #expect(Mathematics.exp(.infinity) == .infinity && Mathematics.exp(-.infinity) == 0 && Mathematics.exp(.nan).isNaN)
    }

    @Test func logarithm() {
        for range in [0.5...2.0, 0.999...1.001, 1e-10...1, 1.0...1e10, Double.leastNonzeroMagnitude...1e-300, 1e300...1.7e308] {
            sweep(50_000, range, bound: 4, Mathematics.log, Glibc.log)
        }
        #expect(Mathematics.log(1) == 0 && Mathematics.log(0) == -.infinity && Mathematics.log(.infinity) == .infinity)
        #expect(Mathematics.log(-1).isNaN && Mathematics.log(.nan).isNaN)
    }

    @Test func sineAndCosine() {
        for range in [-0.8...0.8, -7.0...7, -1000.0...1000, -1e6...1e6] {
            sweep(50_000, range, bound: 4, Mathematics.sin, Glibc.sin)
            sweep(50_000, range, bound: 4, Mathematics.cos, Glibc.cos)
        }
        #expect(Mathematics.sin(0) == 0 && Mathematics.cos(0) == 1)
    }
}
