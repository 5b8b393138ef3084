import Attacks
import Datasets
import Network
import Testing
@testable import Bounds
@testable import DefenseInterface
@testable import Defenses
@testable import Detection
@testable import ModelDefenses
@testable import Numerics
@testable import Rules

/// The parts of the search for what clients planted: where it starts, how far it goes, what stands out.
@Suite struct TriggerSearchTests {
    /// Perturbations stay within their norms and the range of pixels, and outside the border.
    @Test func perturbationsStayWithinTheirNorms() {
        let range = PixelRange(ModelToy.samples(50))
        var stream = RandomStream(seed: 7, purpose: "perturbation test")
        for (kind, limit) in [(Perturbation.Kind.spread, DetectionSettings.spreadNorm), (.sparse, DetectionSettings.sparseNorm)] {
            var perturbation = perturbation(kind, 0, limit: limit)
            for _ in 0..<20 { perturbation.ascend((0..<34 * 34).map { _ in Float(stream.normal()) }, range) }
            var x = [Float](repeating: 0.5, count: 34 * 34)
            x.withUnsafeMutableBufferPointer { range.add(perturbation.values, to: $0.baseAddress!) }
            let moved = x.map { Double($0) - 0.5 }
            #expect(x.allSatisfy { $0 >= 0 && $0 <= 1 })
            for k in moved.indices where !(3..<31).contains(k / 34) || !(3..<31).contains(k % 34) { #expect(moved[k] == 0) }
            if kind == .spread {
                #expect(abs(moved.reduce(0) { $0 + $1 * $1 }.squareRoot() - limit) <= 1e-3)
            } else {
                #expect(moved.reduce(0) { $0 + abs($1) } <= limit + 1e-3)
                #expect(moved.filter { $0 == 0 }.count > 34 * 34 / 2)
            }
        }
    }

    /// Squares make 4x4 pixels black or white whatever was there, and cover the whole image and nothing else.
    @Test func squaresCoverTheImage() {
        let samples = ModelToy.samples(10), scan = TriggerScan(samples), range = PixelRange(samples)
        var covered = Set<Int>()
        for square in scan.patterns(.sparse) {
            let before = (0..<34 * 34).map { range.inside[$0] ? Float($0 % 7) / 7 : 0 }
            var after = before
            after.withUnsafeMutableBufferPointer { range.add(scan.perturbation(square), to: $0.baseAddress!) }
            let changed = scan.perturbation(square).indices.filter { scan.perturbation(square)[$0] != 0 }
            #expect(changed.count == scan.side * scan.side)
            #expect(Set(changed.map { after[$0] }).count == 1)
            #expect(after[changed[0]] == 0 || after[changed[0]] == 1)
            covered.formUnion(changed)
        }
        #expect(covered == Set((3..<31).flatMap { y in (3..<31).map { y * 34 + $0 } }))
    }

    /// Every wave once: norm 3, no two alike, at right angles to most others; SIG's stripes are one of them.
    @Test func wavesAreTheFourierBasis() throws {
        let samples = ModelToy.samples(10), scan = TriggerScan(samples), range = PixelRange(samples)
        let waves = scan.patterns(.spread).map { scan.perturbation($0) }
        #expect(waves.count == 2 * 98)  // 197 pairs of whole numbers within 8 of (0, 0), half of them without that
        for wave in waves { #expect(abs(range.norm(wave) - 3) <= 1e-5) }
        func product(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0 * $1.1) } / 9 }
        for k in 1..<waves.count { #expect(abs(product(waves[0], waves[k])) <= 1e-5) }
        let sig = try #require(scan.patterns(.spread).firstIndex(of: .wave(across: 6, down: 0, cosine: false)))
        var striped = [Float](repeating: 0.5, count: 784)
        striped.withUnsafeMutableBufferPointer { SIGTrigger(shape: ImageShape(channels: 1, side: 28), seed: 1).stamp($0.baseAddress!) }
        let stripes = (0..<34 * 34).map { range.inside[$0] ? striped[($0 / 34 - 3) * 28 + $0 % 34 - 3] - 0.5 : 0 }
        #expect(abs(product(waves[sig], stripes) * 3 / range.norm(stripes) - 1) <= 1e-5)
    }

    /// Each class gets the pattern that its logits answer to, the second look deciding between near ones. A pattern that several
    /// classes look at again is taken once; of ten times as many patterns, as colour images have, each is laid on four images.
    @Test func theScanFindsThePatternOfEachClass() {
        let scan = TriggerScan(ModelToy.samples(10)), images = Array(0..<60), wanted = [3, 60, 120, 190]
        let passes = [(times: 1, first: 8, again: 4 + 3), (times: 10, first: 4, again: 4 * 4)]
        for (kind, (times, first, again)) in Perturbation.Kind.allCases.flatMap({ kind in passes.map { (kind, $0) } }) {
            let patterns = (0..<times).flatMap { _ in scan.patterns(kind) }, answers = wanted.map { scan.perturbation(patterns[$0]) }
            var forwards = 0
            let best = scan.best(
                of: patterns, classes: 4, images: images, isOther: { $0 % 4 != $1 }, forwards: &forwards,
                logits: { pairs in
                    pairs.flatMap { pair in
                        (0..<4).map { target -> Float in
                            let noise = Float(pair.image % 3) - 1, hit = pair.perturbation == answers[target]
                            return (pair.image % 4 == target ? 5 : 0) + (hit ? 9 : 0) + noise
                        }
                    }
                })
            #expect(best.map(\.pattern) == wanted.map { patterns[$0] })
            #expect(best.allSatisfy { $0.margin > 0 })
            #expect(forwards == patterns.count * first + again * 48)
        }
    }

    /// A start that stands out more than what the ascent made of it is what was found.
    @Test func aStartThatStandsOutIsKept() {
        let starts = all().map { FoundTriggers.Judged(perturbation: $0, score: $0.target == 3 ? 4 : -2) }
        let found = FoundTriggers(amongClasses: starts, all(values: 0.02), margins: starts.map { _ in 1 })
        for judged in found.all {
            let isAttacked = judged.perturbation.target == 3
            #expect((judged.score >= DetectionSettings.deviations) == isAttacked)
            #expect((judged.perturbation.values[500] == 0.01) == isAttacked)
            guard judged.perturbation.kind == .spread else { continue }
            #expect(judged.perturbation.limit == (isAttacked ? DetectionSettings.spreadNormFromStart : DetectionSettings.spreadNormInFit))
        }
        #expect(found.evidence.map(\.target) == [3, 3])
    }

    /// Two thirds of the largest score, and the least.
    @Test func classesStandOut() {
        func standingOut(_ scores: [Double]) -> [Int] {
            FoundTriggers(all(classes: scores.count).map { .init(perturbation: $0, score: scores[$0.target]) }, besideTwin: true)
                .standingOut
        }
        #expect(standingOut([2.3, 0.3, 2.1, 0.5]) == [0, 2])
        #expect(standingOut([2.3, 1.5, 1.0, 0]) == [0])
        #expect(standingOut([1.0, 0, 0]) == [])
    }

    /// Margins below -3 count as -3, in both models.
    @Test func theContrastOfAnImage() {
        #expect(FoundTriggers.contrast(2, -1) == 3)
        #expect(FoundTriggers.contrast(-4, -9) == 0)
        #expect(FoundTriggers.contrast(-5, 1) == -4)
    }

    /// What turns more than a quarter as many images in the twin is none of what clients planted.
    @Test func aWeaknessOfBothModelsHasNoContrast() {
        func contrast(_ model: Int, _ twin: Int) -> Double {
            FoundTriggers.contrast(of: (0..<20).map { ($0 < model ? 2 : -3, $0 < twin ? 1 : -3) })
        }
        #expect(contrast(8, 2) == 1.6)  // (8 * 5 - 2 * 4) / 20
        #expect(contrast(8, 3) == 0)
        #expect(contrast(0, 0) == 0)
        #expect(FoundTriggers.contrast(of: []) == 0)
    }

    /// The better of start and ascent is kept; what did not ascend is what it started from.
    @Test func contrastsAreSettled() {
        var found = FoundTriggers(all().enumerated().map { .init(perturbation: $1, score: Double($0) / 2) }, besideTwin: true)
        let ascended = all(values: 0.02)
        found.settle([1, 9], [.init(perturbation: ascended[1], score: 4), .init(perturbation: ascended[9], score: 0)])
        #expect(found.all.map(\.score) == [0, 4, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5])
        #expect(found.all[1].perturbation.values[500] == 0.02)
        #expect(found.all[9].perturbation.values[500] == 0.01)
        #expect(found.scoresOfClasses == [4, 1.5, 2.5, 3.5, 4.5])
        #expect(found.standingOut == [0, 3, 4])
        #expect(found.evidence.first == ascended[1])
        found.correct(9, 1)
        #expect(found.evidence.filter { $0.target == 4 }.map(\.kind) == [.spread])
        let spread = found.indices { $0.kind == .spread }
        found.settle(apart: spread, spread.map { .init(perturbation: ascended[$0], score: $0 == 0 ? 6 : 1.5) })
        #expect(spread.map { found.all[$0].score } == [6, 1, 2, 3, 4], "1.5 is what all the others come to")
        #expect(spread.map { found.all[$0].perturbation.values[500] == 0.01 } == [false, true, true, true, true])
    }

    private func perturbation(_ kind: Perturbation.Kind, _ value: Float, target: Int = 0, limit: Double = 3) -> Perturbation {
        Perturbation(target: target, kind: kind, values: [Float](repeating: value, count: 34 * 34), limit: limit)
    }

    /// One of each kind for every class.
    private func all(classes: Int = 5, values: Float = 0.01) -> [Perturbation] {
        (0..<classes).flatMap { target in Perturbation.Kind.allCases.map { perturbation($0, values, target: target) } }
    }
}
