/// Accuracy and attack success of G over the rounds of one training; the first point is the initialised model.
struct Curve: Equatable, Sendable {
    var rounds: [Int], accuracy: [Double], attackSuccess: [Double]

    /// Mean of curves over the same rounds; nil when there is none.
    static func mean(_ curves: [Curve]) -> Curve? {
        guard let first = curves.first else { return nil }
        let alike = curves.filter { $0.rounds == first.rounds }
        func mean(_ values: (Curve) -> [Double]) -> [Double] {
            first.rounds.indices.map { i in Statistics.mean(alike.map { values($0)[i] }) }
        }
        return Curve(rounds: first.rounds, accuracy: mean(\.accuracy), attackSuccess: mean(\.attackSuccess))
    }
}
