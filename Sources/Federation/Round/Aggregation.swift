import Attacks
import Datasets
import DefenseInterface
import Defenses
import Detection
import Network
import Rules

/// Who sends an update in a round, and how many images it trained on.
public struct Sender: Equatable, Sendable {
    public var client: Int, images: Int

    public init(client: Int, images: Int) { (self.client, self.images) = (client, images) }
}

/// What aggregation leaves for fusion.
public struct Aggregated: Sendable {
    public var model: Parameters
    /// Weighted mean of the teachers' logits on the FM data that are trusted, (count, classes); empty where there is no fusion.
    public var teacherLogits: [Float]
    /// Models that taught.
    public var teachers: Int
    /// As in `Aggregate`.
    public var rejected: [Int]?
    public var notes: [String]
    public var memory: [String: [Float]]
    /// Wall time of the rule alone.
    public var ruleSeconds = Double.nan
}

/// A round's updates on their way into the aggregate, in the order of their clients. Under a rule that permits it each
/// update is added to running sums, its logits on the FM data to those of the teachers, and then forgotten; under others
/// all are kept to the end.
public final class Aggregation {
    private let state: FederationState, rule: any AggregationRule, server: Server, synthetic: Samples
    private let senders: [Sender]
    private var context: RuleContext
    private let stream: (any UpdateStream)?
    private var kept: [ClientUpdate] = []
    private var arrived = 0
    private var ruleSeconds = 0.0
    private var logits: TeacherLogits

    /// - Parameters:
    ///   - senders: all whose updates will be added, ascending by client.
    ///   - synthetic: all FM data.
    /// - Throws: `DefenseError.update` when there is nothing to aggregate.
    public init(_ state: FederationState, _ senders: [Sender], _ rule: any AggregationRule, _ server: Server, _ synthetic: Samples) throws {
        guard senders.contains(where: { $0.images > 0 }) else {
            throw DefenseError.update("expected updates of clients with images to train on, got \(senders.map { "client \($0.client): \($0.images)" })")
        }
        let synthetic = state.fmImages(synthetic)
        (self.state, self.senders, self.rule, self.server, self.synthetic) = (state, senders, rule, server, synthetic)
        let mean = state.meanImages ?? senders.reduce(0) { $0 + $1.images } / senders.count
        context = RuleContext(assumedMalicious: state.configuration.assumedMalicious(senders.count), seed: state.configuration.seed,
                              round: state.nextRound, threads: server.threads, memory: state.memory,
                              server: ServerTools(state, server, synthetic, rootImages: mean))
        stream = (rule as? any StreamingRule)?.stream(state.global, images: senders.map(\.images), context)
        logits = TeacherLogits(server, synthetic, wanted: state.configuration.fusion(inRound: state.nextRound).epochs > 0, median: state.configuration.keepsStudent && state.configuration[Student.median])
    }

    /// Takes the next sender's update, which must be finite.
    public func add(_ update: Parameters) {
        let sender = senders[arrived]
        arrived += 1
        if let stream {
            logits.add(timed { stream.add(update) }, share: 1 / Double(senders.count))
        } else {
            kept.append(ClientUpdate(client: sender.client, images: sender.images, parameters: update))
        }
    }

    /// The aggregate, once all have come. Throws `DefenseError` where the rule's conditions do not hold.
    public func finish() throws -> Aggregated {
        precondition(arrived == senders.count)
        if let stream {
            return Aggregated(model: timed { stream.finish() }, teacherLogits: logits.mean, teachers: senders.count, notes: [], memory: context.memory,
                              ruleSeconds: ruleSeconds)
        }
        let aggregate = try timed { try rule.aggregate(state.global, kept, &context) }, total = aggregate.teachers.reduce(0) { $0 + $1.weight }
        for teacher in aggregate.teachers where teacher.weight > 0 { logits.add(teacher.parameters, share: teacher.weight / total) }
        return Aggregated(model: aggregate.model, teacherLogits: logits.mean, teachers: aggregate.teachers.count, rejected: aggregate.rejected,
                          notes: aggregate.notes, memory: context.memory, ruleSeconds: ruleSeconds)
    }

    private func timed<T>(_ work: () throws -> T) rethrows -> T {
        let begin = monotonicSeconds()
        defer { ruleSeconds += monotonicSeconds() - begin }
        return try work()
    }
}

/// The weighted mean of models' logits on all FM data, summed in double in the order in which they come.
private struct TeacherLogits {
    private let server: Server, synthetic: Samples
    private var sum: [Double]

    private let median: Bool
    private var all: [[Float]] = []

    init(_ server: Server, _ synthetic: Samples, wanted: Bool, median: Bool) {
        (self.server, self.synthetic) = (server, synthetic)
        self.median = median
        sum = [Double](repeating: 0, count: wanted ? synthetic.count * synthetic.set.classes : 0)
    }

    /// Shares sum to 1.
    mutating func add(_ model: Parameters, share: Double) {
        guard !sum.isEmpty else { return }
        let logits = server.predictor.logits(synthetic.count, model, Bounds(model.network)) { synthetic.load($0, into: $1) }
        if median { all.append(logits) }
        for k in sum.indices { sum[k] += share * Double(logits[k]) }
    }

    var mean: [Float] {
        guard median, !sum.isEmpty else { return sum.map(Float.init) }
        return sum.indices.map { k in
            let x = all.map { $0[k] }.sorted(), n = x.count
            return n % 2 == 1 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2
        }
    }
}
