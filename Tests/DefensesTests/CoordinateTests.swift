import Network
import Options
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// Median, trimmed mean, RLR, RFA and norm clipping by hand.
@Suite struct CoordinateTests {
    @Test func median() throws {
        #expect(try Toy.one(CoordinateMedian(), [7, -50, 3]) == 3)
        #expect(try Toy.one(CoordinateMedian(), [1, 100, 10, 2], images: [1, 1000, 1, 1]) == 6)  // the mean of 2 and 10, unweighted
        #expect(try Toy.one(CoordinateMedian(), [5]) == 5)
        #expect(try Toy.aggregate(CoordinateMedian(), [1, 2, 3]).teachers.count == 3)
    }

    /// Weights of a user's own rule sum to 1 within rounding, and are then taken to the bit; others are divided by their sum.
    @Test func weightsOfAnOwnRule() {
        let tenths = [Double](repeating: 0.1, count: 10)
        #expect(OwnRule.unit(tenths) == tenths && tenths.reduce(0, +) != 1)
        #expect(OwnRule.unit([1, 3]) == [0.25, 0.75])
        #expect(OwnRule.unit([1e-12]) == [1])
    }

    /// beta is a fraction: of 5 clients one goes at each end, of 10 two, of 4 none.
    @Test func trimmedMean() throws {
        #expect(try Toy.one(TrimmedMean(), [6, -100, 1, 1000, 2]) == 3)
        #expect(try Toy.one(TrimmedMean(), [0, 100, 1, 100, 1, 7, 1, 0, 1, 1]) == 2)  // 1 1 1 1 1 7
        #expect(try Toy.one(TrimmedMean(), [0, 0, 0, 8], images: [1, 1, 1, 99]) == 2)
        var rule = TrimmedMean()
        rule.trimmed = 0.29  // 0.29 * 100 is a little below 29
        #expect(try Toy.one(rule, (0..<100).map { $0 < 29 ? -1e6 : $0 < 71 ? 4 : 1e6 }) == 4)
        rule.trimmed = 0.5
        #expect(refusal { _ = try Toy.one(rule, [1, 2]) }?.contains("n = 2") == true)
    }

    /// What sorts every sequence of zeros and ones sorts everything (Knuth, the zero-one principle): all of them up to 14
    /// values, some of up to 100.
    @Test func exchangesSort() {
        func sorts(_ bits: [Int]) -> Bool {
            var bits = bits
            for (a, b) in mergeExchanges(bits.count) where bits[a] > bits[b] { bits.swapAt(a, b) }
            return zip(bits, bits.dropFirst()).allSatisfy { $0 <= $1 }
        }
        for n in 1...14 {
            let pairs = mergeExchanges(n)
            #expect(pairs.allSatisfy { $0.0 < $0.1 && $0.1 < n })
            let wrong = (0..<1 << n).filter { input in
                var x = input
                for (a, b) in pairs where x >> a & 1 > x >> b & 1 { x ^= 1 << a | 1 << b }
                return x != (1 << n) - (1 << (n - input.nonzeroBitCount))  // the ones at the end
            }
            #expect(wrong.count == 0, "\(n) values")
        }
        for n in [15, 16, 17, 40, 63, 64, 65, 99, 100] {
            for ones in 0...n {
                #expect(sorts((0..<n).map { $0 < ones ? 1 : 0 }) && sorts((0..<n).map { ($0 * 7) % n < ones ? 1 : 0 }))
            }
        }
    }

    /// Whole models, the last block too, on every instruction set, against the sort of the standard library.
    @Test func sortsEveryCoordinate() {
        for n in [1, 2, 7, 12] {
            let models = (0..<n).map { Toy.random(UInt64(97 * n + $0)) }
            for set in InstructionSet.available {
                let third = fromSortedCoordinates(models, like: models[0], set.kernels, threads: 2) { rows, out in
                    forEachEightColumns(out) { rows.eight(n / 3, $0) }
                }
                let wrong = (0..<third.count).filter { k in third.base[k] != models.map { $0.base[k] }.sorted()[n / 3] }
                #expect(wrong.count == 0, "\(n) clients, \(set)")
            }
        }
    }

    /// theta = 4 of 10. The first number: 7 up, 3 down, |4| >= 4: up by the mean, 0.4. The second: 6 up, 4 down: the mean,
    /// 0.2, is taken back. All parameters are positive: signs of parameters instead of updates would never disagree.
    @Test func rlr() throws {
        var context = Toy.context()
        let models = (0..<10).map { Toy.model([8 + ($0 < 7 ? 1 : -1), 8 + ($0 < 6 ? 1 : -1)]) }
        let values = Toy.values(try RobustLearningRate().aggregate(Toy.model([8, 8]), Toy.updates(models), &context).model, 2)
        #expect(abs(values[0] - 8.4) < 1e-6 && abs(values[1] - 7.8) < 1e-6)
        let theta = RobustLearningRate().threshold
        #expect([1, 5, 10, 11, 40, 100].map(theta) == [2, 3, 4, 5, 8, 13])
    }

    /// Models 0, 0, 3 start at their mean, 1. Distances 1, 1, 2: b = 1, 1, 1/2, v = 1.5 / 2.5 = 0.6. Then 0.6, 0.6, 2.4:
    /// b = 4, 4, 1, v = 3 / 9. Started from zero, v would stay within 1e-6 of 0; G plays no part.
    @Test func weiszfeldStartsAtTheMean() throws {
        var rule = GeometricMedian()
        for (iterations, expected) in [(0, 1.0), (1, 0.6), (2, 1.0 / 3)] {
            rule.iterations = iterations
            #expect(abs(try Toy.one(rule, [0, 0, 3], from: 50) - Float(expected)) <= 1e-7)
        }
        let teachers = try Toy.aggregate(rule, [0, 0, 3]).teachers.map(\.weight)
        #expect(zip(teachers, [4.0 / 9, 4.0 / 9, 1.0 / 9]).allSatisfy { abs($0 - $1) < 1e-7 })
        rule.iterations = 1  // images 1, 1, 2: mean 1.5, b = 1/1.5, 1/1.5, 2/1.5
        #expect(abs(try Toy.one(rule, [0, 0, 3], images: [1, 1, 2]) - 1.5) <= 1e-6)
    }

    /// A model that v meets exactly weighs w / nu, not infinity.
    @Test func weiszfeldIsSmoothed() throws {
        var rule = GeometricMedian()
        rule.smoothing = 2  // mean 2; distances 1 and 9: b = 1/2 nine times, 1/9
        rule.iterations = 1
        #expect(abs(try Toy.one(rule, [1, 1, 1, 1, 1, 1, 1, 1, 1, 11]) - Float((9 * 0.5 + 11.0 / 9) / (9 * 0.5 + 1.0 / 9))) < 1e-6)
        #expect(try Toy.one(GeometricMedian(), [2, 2, 2]) == 2)
    }

    /// (3, 4) has norm 5 and is halved by M = 2.5; (0, 1) stays.
    @Test func normClip() throws {
        var rule = NormClip(), context = Toy.context()
        rule.limit = 2.5
        let models = [Toy.model([13, 14]), Toy.model([10, 11])]
        let aggregate = try rule.aggregate(Toy.model([10, 10]), Toy.updates(models, images: [300, 100]), &context)
        #expect(Toy.values(aggregate.model, 2) == [11.125, 11.75])
        #expect(aggregate.teachers.map { Toy.values($0.parameters, 2) } == [[11.5, 12], [10, 11]])
        #expect(aggregate.rejected == nil)
    }

    /// The noise has the deviation asked for, once, whatever the number of clients; padding stays zero; the round names it.
    @Test func normClipNoise() throws {
        var settings = Settings()
        settings[NormClip.noise] = 0.025
        let global = Toy.random(1), updates = Toy.updates((2..<5).map { Toy.random($0, around: global, deviation: 0.001) })
        var context = Toy.context()
        let plain = try NormClip().aggregate(global, updates, &context).model
        let noisy = try NormClip(settings).aggregate(global, updates, &context).model
        let again = try NormClip(settings).aggregate(global, updates, &context).model
        context.round += 1
        let next = try NormClip(settings).aggregate(global, updates, &context).model
        #expect(Toy.equal(noisy, again) && !Toy.equal(noisy, next))
        expectNoise(noisy, plain, deviation: 0.025)
    }
}

/// `noisy - plain` is normal with that deviation: its norm within 6 standard deviations, its mean too; padding untouched.
func expectNoise(_ noisy: Parameters, _ plain: Parameters, deviation: Double) {
    let count = Double(noisy.network.parameterCount)
    let measured = (squaredDistance(noisy, plain) / count).squareRoot()
    #expect(abs(measured / deviation - 1) < 6 / (2 * count).squareRoot(), "deviation \(measured), expected \(deviation)")
    let sum = zip(noisy.flattened, plain.flattened).reduce(0) { $0 + Double($1.0) - Double($1.1) }
    #expect(abs(sum) < 6 * deviation * count.squareRoot())
    let real = noisy.flattened.reduce(0) { $0 + Double($1) * Double($1) }
    #expect(abs(product(noisy, noisy) - real) <= 1e-9 * real, "padding is not zero")
}
