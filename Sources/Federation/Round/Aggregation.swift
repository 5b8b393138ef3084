import Attacks
import Datasets
import DefenseInterface
import Defenses
import Detection
import Network
import Rules
import Tensor

/// A round's updates on their way into the aggregates, in the order of their clients. The rule works within each prototype. Under a rule
/// that permits it each update is added to running sums, its logits on the FM data to those of the teachers, and then forgotten; under
/// others all are kept to the end.
public final class Aggregation {
    private let senders: [Sender]
    /// Whether the rule chooses among clients of several shapes.
    private let choosesByTrunk: Bool
    private let assumedMalicious: Int, ruleStateOfAll: [String: [Float]]
    /// By the position of the prototype.
    private var groups: [Int: Group] = [:]
    private let groupOf: [Int]
    private var arrived = 0
    private var ruleSeconds = 0.0
    private var logits: TeacherLogits

    /// - Parameters:
    ///   - senders: all whose updates will be added, ascending by client.
    ///   - rule: unless the round ends with a vote; then its aggregate is forgotten, and nothing is asked of a rule.
    ///   - synthetic: all FM data.
    /// - Throws: `DefenseError.update` when there is nothing to aggregate.
    public init(
        _ state: FederationState, from senders: [Sender], by rule: any AggregationRule, _ server: Server, _ synthetic: Samples
    ) throws {
        guard senders.contains(where: { $0.images > 0 }) else {
            throw DefenseError.update(
                "expected updates of clients with images to train on, got \(senders.map { "client \($0.client): \($0.images)" })")
        }
        let synthetic = state.fmImages(synthetic), rule: any AggregationRule = state.nextRound == 0 ? FedAvg() : rule
        self.senders = senders
        groupOf = senders.map { state.prototype(of: $0.client) }
        for index in state.prototypes.indices where groupOf.contains(index) {
            let mine = zip(senders, groupOf).filter { $0.1 == index }.map(\.0)
            groups[index] = Group(state, prototype: index, from: mine, by: rule, server, synthetic)
        }
        ruleStateOfAll = state.prototypes[0].ruleState
        assumedMalicious = state.assumedMalicious(senders.count)
        choosesByTrunk = state.prototypes.count > 1 && type(of: rule).scope == .trunk
        logits = TeacherLogits(server, synthetic, state.configuration, inRound: state.nextRound)
    }

    /// Takes the next sender's update, which must be finite and of the shape of its client.
    public func add(_ update: Parameters) {
        let sender = senders[arrived]
        guard let group = groups[groupOf[arrived]] else { return }
        arrived += 1
        logits.vote(update)
        if let stream = group.stream {
            logits.teach(timed { stream.add(update) }, share: 1 / Double(senders.count))
        } else {
            group.kept.append(ClientUpdate(client: sender.client, images: sender.images, parameters: update))
        }
    }

    /// The aggregates, once all have come. Throws `DefenseError` where the rule's conditions do not hold.
    public func finish() throws -> Aggregated {
        precondition(arrived == senders.count)
        var result = Aggregated(parts: [:], teacherLogits: [], teachers: 0, notes: [])
        var teachers: [Teacher] = []
        if choosesByTrunk {
            var choice = TrunkChoice(groups, assumedMalicious: assumedMalicious, ruleState: ruleStateOfAll)
            result.rejected = try timed { try choice.rejected() }
            result.ruleStateOfAll = choice.ruleState
        }
        for (index, group) in groups.sorted(by: { $0.key < $1.key }) {
            if let stream = group.stream {
                result.parts[index] = Aggregated.Part(model: timed { stream.finish() }, ruleState: group.context.state)
                result.teachers += group.senders.count
                continue
            }
            guard !group.kept.isEmpty else { continue }
            let aggregate = try timed { try group.rule.aggregate(group.global, group.kept, &group.context) }
            result.parts[index] = Aggregated.Part(model: aggregate.model, ruleState: group.context.state, own: group.context.ownState)
            result.teachers += aggregate.teachers.count
            result.notes += aggregate.notes.filter { !result.notes.contains($0) }
            if let rejected = aggregate.rejected { result.rejected = ((result.rejected ?? []) + rejected).sorted() }
            teachers += aggregate.teachers
        }
        if let votes = logits.votes {
            let opinions = votes.opinions(assumedMalicious: assumedMalicious)
            result.teacherLogits = opinions.map { Float(Mathematics.log($0)) }
            (result.teachers, result.ruleSeconds) = (senders.count, ruleSeconds)
            result.excluded = votes.supporters(ofWrong: logits.vouching(opinions), assumedMalicious: assumedMalicious).map {
                senders[$0].client
            }
            return result
        }
        let total = teachers.reduce(0) { $0 + $1.weight }
        for teacher in teachers where teacher.weight > 0 { logits.teach(teacher.parameters, share: teacher.weight / total) }
        (result.teacherLogits, result.ruleSeconds) = (logits.mean, ruleSeconds)
        return result
    }

    private func timed<T>(_ work: () throws -> T) rethrows -> T {
        let begin = monotonicSeconds()
        defer { ruleSeconds += monotonicSeconds() - begin }
        return try work()
    }
}

/// What models say of all FM data. Where they teach, it is the weighted mean of the logits of those that the rule let through, summed in
/// double in the order in which they come. Where the federation vouches for the FM data, all clients vote, whatever the rule makes of their
/// updates, and it is the logarithm of how their opinions stand out.
private struct TeacherLogits {
    private let server: Server, synthetic: Samples
    /// Whether each model's logits count as `FederatedDistillation.answer`.
    private let bounded: Bool
    private var sum: [Double]
    private(set) var votes: Votes?

    init(_ server: Server, _ synthetic: Samples, _ configuration: RunConfiguration, inRound round: Int) {
        (self.server, self.synthetic, bounded) = (server, synthetic, configuration.distils)
        let wanted = configuration.asksTeachers(inRound: round), votes = round < 1
        sum = [Double](repeating: 0, count: wanted && !votes ? synthetic.count * synthetic.set.classes : 0)
        if wanted, votes { self.votes = Votes(labels: labels, classes: synthetic.set.classes) }
    }

    mutating func vote(_ model: Parameters) {
        guard votes != nil else { return }
        let vote = logits(model)
        votes?.add(vote)
    }

    /// Shares sum to 1.
    mutating func teach(_ model: Parameters, share: Double) {
        guard !sum.isEmpty else { return }
        let all = logits(model), classes = synthetic.set.classes
        for first in stride(from: 0, to: all.count, by: classes) {
            let said = all[first..<first + classes]
            for (k, x) in (bounded ? FederatedDistillation.answer(said) : said.map(Double.init)).enumerated() {
                sum[first + k] += share * x
            }
        }
    }

    private func logits(_ model: Parameters) -> [Float] {
        server.predictor(model.network).logits(synthetic.count, model, Bounds(model.network)) { synthetic.load($0, into: $1) }
    }

    /// (images, classes).
    var mean: [Float] { sum.map(Float.init) }

    func vouching(_ opinions: [Double]) -> Vouching { Vouching(opinions, labels: labels, classes: synthetic.set.classes) }

    private var labels: [Int] { (0..<synthetic.count).map(synthetic.label) }
}
