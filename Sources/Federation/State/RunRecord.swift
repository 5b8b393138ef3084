import DefenseInterface
import Defenses
import Network

/// One row of the history; NaN where a number does not apply.
public struct HistoryRow: Equatable, Sendable {
    public var round: Int
    public var loss = Double.nan  // mean loss of the benign clients' local training
    public var accuracy = Double.nan, attackSuccess = Double.nan, robustAccuracy = Double.nan
    public var accuracyBounded = Double.nan, attackSuccessBounded = Double.nan, robustAccuracyBounded = Double.nan
    /// Means over clients of their own models' accuracy on their local test sets, and of their attack success; where measured.
    public var clientAccuracy = Double.nan, clientAttackSuccess = Double.nan
    /// Of the rule's rejections, this round: malicious among rejected, rejected among malicious, rejected among benign.
    public var precision = Double.nan, recall = Double.nan, falsePositiveRate = Double.nan
    /// Wall times: since the start of the run, and of the rule alone.
    public var seconds = 0.0, ruleSeconds = Double.nan
    /// Largest resident memory of the process in the round, where it is measured.
    public var peakBytes = Double.nan
    public init(round: Int) { self.round = round }

    /// What is measured after the last round alone.
    nonisolated(unsafe) static let afterTheLastRound = ofTheBounds + [\.clientAccuracy, \.clientAttackSuccess]
    /// What is measured of the model with the bounds that are handed out.
    nonisolated(unsafe) static let ofTheBounds: [WritableKeyPath<HistoryRow, Double>] =
        [\.accuracyBounded, \.attackSuccessBounded, \.robustAccuracyBounded]

    /// How right a rule's rejections were; clients below `malicious` are the malicious ones.
    mutating func rate(_ rejected: [Int], of clients: [Int], malicious: Int) {
        let bad = clients.filter { $0 < malicious }.count, caught = rejected.filter { $0 < malicious }.count
        precision = rejected.isEmpty ? .nan : Double(caught) / Double(rejected.count)
        recall = bad == 0 ? .nan : Double(caught) / Double(bad)
        falsePositiveRate = clients.count == bad ? .nan : Double(rejected.count - caught) / Double(clients.count - bad)
    }
}

/// Accuracy on clean images, attack success on triggered ones whose true class is not the target, robust accuracy.
public struct Evaluation: Equatable, Sendable {
    public var accuracy: Double, attackSuccess: Double, robustAccuracy: Double
    public var images: Int, triggeredImages: Int
    /// Of the clients' own models; nil where they were not measured.
    public var clients: ClientRates?
}

/// Means over clients of their own models' accuracy on their local test sets, and of their attack success; NaN where none has images.
public struct ClientRates: Equatable, Sendable {
    public var accuracy: Double, attackSuccess: Double
}

/// What a model-level defence made of the final G.
public struct DefendedModel: Sendable {
    public var name: String
    /// The defence's name in the configuration, which tells versions of a user's own apart.
    public var identity: String
    /// One for each prototype.
    public var models: [BoundedModel]
    public var parameters: Parameters { models[0].parameters }
    public var bounds: Bounds { models[0].bounds }
    public var evaluation: Evaluation
    /// Seconds, and passes over images (forward and backward = 1), that the defence took.
    public var seconds: Double, passes: Double
    /// Largest resident memory of the process meanwhile, where it is measured.
    public var peakBytes = Double.nan
    /// What the defence found out, for people and reports: name and value.
    public var audit: [Finding]
}

/// Where a run stands, for progress on stderr.
public struct RunProgress: Sendable {
    public var phase: String  // "initialisation", "round 3/20", "defence bounds"
    public var done: Double  // passes over images so far
    public var total: Double
    public var latest: HistoryRow?
}
