import Testing
@testable import Network

/// Losses with a probability for each class in the label's place.
@Suite struct LossTests {
    private static let classes = 7
    private typealias Result = (loss: Double, gradient: [Float])

    private func numbers(_ from: Int) -> [Float] { (0..<Self.classes).map { Float(($0 * 37 + from * 11) % 17) / 3 - 2 } }

    private func gradient(_ loss: (UnsafeMutablePointer<Float>) -> Double) -> Result {
        var gradient = [Float](repeating: .nan, count: Self.classes)
        let value = gradient.withUnsafeMutableBufferPointer { loss($0.baseAddress!) }
        return (value, gradient)
    }

    private func distilled(_ label: Int, _ probabilities: [Float]?) -> Result {
        let logits = numbers(1), teacher = numbers(2)
        return gradient { out in
            func loss(_ probabilities: UnsafePointer<Float>?) -> Double {
                Loss.distillation(
                    logits, teacher: teacher, classes: Self.classes, label: label, probabilities: probabilities, temperature: 2,
                    labelWeight: 0.3, batch: 4, gradient: out)
            }
            guard let probabilities else { return loss(nil) }
            return probabilities.withUnsafeBufferPointer { loss($0.baseAddress) }
        }
    }

    /// With 1 at one class both losses are those of this label, to the bit.
    @Test func oneClassIsALabel() {
        let logits = numbers(1)
        for label in 0..<Self.classes {
            let one = (0..<Self.classes).map { Float($0 == label ? 1 : 0) }
            let want = gradient { Loss.crossEntropy(logits, classes: Self.classes, label: label, batch: 4, gradient: $0) }
            let got = gradient { Loss.crossEntropy(logits, classes: Self.classes, probabilities: one, batch: 4, gradient: $0) }
            #expect(got.gradient == want.gradient && abs(got.loss - want.loss) < 1e-12)
            #expect(distilled(label, one).gradient == distilled(label, nil).gradient)
            #expect(abs(distilled(label, one).loss - distilled(label, nil).loss) < 1e-12)
        }
    }

    /// A loss is linear in the probabilities.
    @Test func theMeanOfLabels() {
        let logits = numbers(1), raw = numbers(3).map(abs), sum = raw.reduce(0, +), p = raw.map { $0 / sum }
        let soft = gradient { Loss.crossEntropy(logits, classes: Self.classes, probabilities: p, batch: 4, gradient: $0) }
        let both = [
            (soft, { label in gradient { Loss.crossEntropy(logits, classes: Self.classes, label: label, batch: 4, gradient: $0) } }),
            (distilled(0, p), { label in distilled(label, nil) }),
        ]
        for (got, ofLabel) in both {
            let each = (0..<Self.classes).map(ofLabel)
            #expect(abs(got.loss - zip(p, each).reduce(0) { $0 + Double($1.0) * $1.1.loss }) < 1e-6)
            for k in 0..<Self.classes {
                #expect(abs(got.gradient[k] - zip(p, each).reduce(0) { $0 + $1.0 * $1.1.gradient[k] }) < 1e-6)
            }
        }
    }
}
