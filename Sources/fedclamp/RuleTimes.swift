import Datasets
import Defenses
import Federation
import Network
import Rules
import Tensor

/// How long each rule before aggregation takes for one round of made-up updates: a fifth of the clients went the same wrong way, the
/// others went apart around a common step.
struct RuleTimes {
    struct Time {
        var rule: String
        /// The fastest of as many rounds as fit; NaN where the rule needs more clients.
        var seconds = Double.nan
        /// Clients that it lets through, and the first digits of the aggregate's digest.
        var passed = 0, digest = ""

        var members: [(String, JSON)] {
            [("rule", .text(rule)), ("seconds", .number(seconds)), ("passed", .whole(passed)), ("sha256", .text(digest))]
        }
    }

    private let set: InstructionSet, threads: Int
    private let global: Parameters, updates: [ClientUpdate]
    private let predictor: Predictor
    private var malicious: Int { updates.count / 5 }

    init(_ set: InstructionSet, threads: Int, updates n: Int) {
        let network = ClampNet(channels: 3, classes: 10), global = Parameters(network), common = Parameters(network)
        var stream = RandomStream(seed: 1, purpose: "rule times")
        global.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        common.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        let models = parallelMap(n, threads: threads) { client, _ in
            Self.update(global, common, wrong: client < n / 5, client)
        }
        updates = models.enumerated().map { ClientUpdate(client: $0, images: 50 + $0 % 7, parameters: $1) }
        (self.set, self.threads, self.global) = (set, threads, global)
        predictor = Predictor(network, kernels: set.kernels, threads: threads)
    }

    /// G + 0.05 (+-common + noise): honest clients' steps have a cosine of about 0.75 to each other.
    private static func update(_ global: Parameters, _ common: Parameters, wrong: Bool, _ client: Int) -> Parameters {
        let model = Parameters(copying: global), size: Float = wrong ? -0.05 : 0.05
        var stream = RandomStream(seed: 1, purpose: "rule times", client: client + 1)
        for k in 0..<model.count where common.base[k] != 0 {
            model.base[k] += size * common.base[k] * (1 + 2 * (Float(stream.next() >> 40) * 0x1p-24 - 0.5))
        }
        return model
    }

    /// Each rule runs twice at least: the first round gives memory to those that have one.
    func measure(_ rules: [any AggregationRule.Type], seconds: Double) throws -> [Time] {
        try rules.map { $0.init() }.map { rule in
            guard rule.unmet(clients: updates.count, malicious: malicious) == nil else { return Time(rule: rule.label) }
            var context = RuleContext(
                assumedMalicious: malicious, seed: 1, round: 1, threads: threads, kernels: set.kernels, server: server)
            _ = try rule.aggregate(global, updates, &context)
            var time = Time(rule: rule.label, seconds: .infinity)
            let begin = monotonicSeconds()
            repeat {
                var context = context
                let start = monotonicSeconds(), aggregate = try rule.aggregate(global, updates, &context)
                time.seconds = min(time.seconds, monotonicSeconds() - start)
                (time.passed, time.digest) = (aggregate.teachers.count, Self.digest(aggregate.model))
            } while monotonicSeconds() - begin < seconds
            return time
        }
    }

    private var server: RuleServer {
        RuleServer(
            normalization: Normalization(mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]), side: 32,
            train: { [updates] in updates[updates.count - 1].parameters },
            logits: { [predictor] model, count, load in predictor.logits(count, model, Bounds(model.network), load: load) })
    }

    private static func digest(_ model: Parameters) -> String {
        model.buffer.values.withMemoryRebound(to: UInt8.self) { String(SHA256.hexadecimal(of: Array($0)).prefix(12)) }
    }
}
