import Numerics

/// What a search came to: for each class a perturbation of either kind, and how much the class gives way to it.
package struct FoundTriggers {
    package struct Judged {
        package var perturbation: Perturbation
        /// Contrast to the twin; without a twin deviations from the median of the classes.
        package var score: Double
    }

    /// Ascending by class; of a class in the order of the kinds.
    package private(set) var all: [Judged]
    private let isBesideTwin: Bool
    /// As the scan found them.
    private let starts: [Judged]

    /// - Parameter besideTwin: whether the scores are contrasts.
    init(_ starts: [Judged], besideTwin: Bool) {
        (all, self.starts, isBesideTwin) = (starts, starts, besideTwin)
    }

    /// Without a twin: how far a margin, or that of the start, lies above the median of its kind, in robust deviations. A start
    /// that stands out more than what came of it is what was found.
    /// - Parameters:
    ///   - starts: their scores are margins.
    ///   - margins: of what they ascended to.
    init(amongClasses starts: [Judged], _ ascended: [Perturbation], margins: [Double]) {
        self.init(starts, besideTwin: false)
        let ofAscended = Self.deviations(margins, of: ascended), ofStarts = Self.deviations(starts.map(\.score), of: ascended)
        for i in all.indices {
            // Where the margin is below 0 most images do not turn.
            let start = starts[i].score > 0 ? ofStarts[i] * DetectionSettings.deviations / DetectionSettings.deviationsOfStart : 0
            let keepsStart = start > max(0, ofAscended[i])
            all[i] = Judged(perturbation: keepsStart ? starts[i].perturbation : ascended[i], score: max(ofAscended[i], start))
            if ascended[i].kind == .spread {
                all[i].perturbation.limit = keepsStart ? DetectionSettings.spreadNormFromStart : DetectionSettings.spreadNormInFit
            }
        }
    }

    func indices(where isChosen: (Perturbation) -> Bool) -> [Int] { all.indices.filter { isChosen(all[$0].perturbation) } }

    /// Takes up what perturbations ascended to; those that started with more go back there.
    mutating func settle(_ indices: [Int], _ ascended: [Judged]) {
        for (i, ascended) in zip(indices, ascended) {
            let keepsStart = ascended.score < starts[i].score
            all[i] = keepsStart ? starts[i] : ascended
            if ascended.perturbation.kind == .spread {
                all[i].perturbation.limit = keepsStart ? DetectionSettings.spreadNormFromStart : DetectionSettings.spreadNormInFit
            }
        }
    }

    /// Takes up what all perturbations of a kind ascended to, which may be much for natural classes, only where it lies far above
    /// what the other classes come to.
    mutating func settle(apart indices: [Int], _ ascended: [Judged]) {
        let distances = Self.deviations(ascended.map(\.score))
        for ((i, ascended), distance) in zip(zip(indices, ascended), distances)
        where distance >= DetectionSettings.deviations && ascended.score > all[i].score {
            all[i] = ascended
            all[i].perturbation.limit = DetectionSettings.spreadNormInFit
        }
    }

    /// A contrast has been measured again.
    mutating func correct(_ i: Int, _ contrast: Double) { all[i].score = contrast }

    /// The largest score of each class.
    package var scoresOfClasses: [Double] {
        let kinds = Perturbation.Kind.allCases.count
        return stride(from: 0, to: all.count, by: kinds).map { first in all[first..<first + kinds].map(\.score).max() ?? 0 }
    }

    /// Classes that give way, and reach two thirds of the largest score.
    package var standingOut: [Int] {
        let scores = scoresOfClasses, largest = scores.max() ?? 0
        return scores.indices.filter { scores[$0] >= attackedFrom && scores[$0] > largest * DetectionSettings.partOfLargest }
    }

    /// The perturbations of the classes that stand out; beside a twin those of them that do so themselves.
    package var evidence: [Perturbation] {
        standingOut.flatMap { target in
            all.filter { $0.perturbation.target == target && (!isBesideTwin || $0.score >= DetectionSettings.contrastFrom) }.map(
                \.perturbation)
        }
    }

    /// The score from which a class looks attacked.
    private var attackedFrom: Double { isBesideTwin ? DetectionSettings.contrastFrom : DetectionSettings.deviations }

    /// In words.
    package var unit: String { "\(isBesideTwin ? "contrast to the twin" : "deviations"), from \(fixed(attackedFrom, 1))" }

    /// Of one image: a class's margin, and that in the twin.
    static func contrast(_ margin: Float, _ twin: Float) -> Double {
        Double(max(margin, DetectionSettings.leastMargin) - max(twin, DetectionSettings.leastMargin))
    }

    /// The mean over images of margins in the model and in the twin. 0 where in the twin more than a quarter as many images turn: that
    /// is a weakness that training has deepened, not planted.
    static func contrast(of margins: [(model: Float, twin: Float)]) -> Double {
        let turned = (model: margins.count { $0.model > 0 }, twin: margins.count { $0.twin > 0 })
        guard DetectionSettings.turnedMoreOften * turned.twin <= turned.model else { return 0 }
        return margins.reduce(0) { $0 + contrast($1.model, $1.twin) } / Double(max(1, margins.count))
    }

    /// Each kind by itself.
    private static func deviations(_ margins: [Double], of perturbations: [Perturbation]) -> [Double] {
        var result = margins
        for kind in Perturbation.Kind.allCases {
            let members = margins.indices.filter { perturbations[$0].kind == kind }
            for (member, value) in zip(members, deviations(members.map { margins[$0] })) { result[member] = value }
        }
        return result
    }

    /// From the median, in robust deviations of at least 0.5.
    private static func deviations(_ margins: [Double]) -> [Double] {
        let values = margins.map { Float($0) }, median = quantile(0.5, values)
        let deviation = max(1.4826 * Double(quantile(0.5, values.map { abs($0 - median) })), DetectionSettings.leastDeviation)
        return margins.map { ($0 - Double(median)) / deviation }
    }
}
