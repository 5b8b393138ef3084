import Datasets
import DefenseInterface
import Defenses
import Federation

/// What has to be trained once, whatever tables and defences want of it: a configuration, all defences on the model that
/// cells ask for, and, where nobody attacks, the floors to be measured.
public struct Training: Sendable {
    /// Reduced to what counts, with the rule but without defences on the model.
    public let configuration: RunConfiguration
    /// 16 hexadecimal digits of the SHA-256 of the configuration and the data's digests.
    public let key: String
    public internal(set) var defenses: [String] = []
    public internal(set) var probes: [Probe] = []
    /// Tables that want it.
    public internal(set) var tables: [String] = []
    /// Whether reports show its pictures and activations.
    public internal(set) var isIllustrated = false

    /// Names and values of options of defences on the model that a sweep varies: one run file has one model of a defence, so that trainings
    /// that differ in them alone are trained each.
    private let varied: [(name: String, value: String)]

    /// - Parameter varying: options of defences on the model that a sweep varies.
    public init(_ configuration: RunConfiguration, datasetDigest: String, syntheticDigest: String, varying names: [String] = []) throws {
        self.configuration = configuration.reduced
        varied = RunConfiguration.settings.all.filter { names.contains($0.name) && !$0.isStandard(in: configuration.values) }
            .map { ($0.name, $0.text(in: configuration.values)) }
        let text =
            "\(try self.configuration.trainingJSON())\n\(datasetDigest)\n\(syntheticDigest)"
            + varied.map { "\n\($0.name) = \($0.value)" }.joined()
        key = String(SHA256.hexadecimal(of: Array(text.utf8)).prefix(16))
    }

    /// For people: "multi-krum, fm attack, seed 1", and what else differs from `base`.
    /// - Parameter naming: options that are named in any case, where the training depends on them.
    public func title(beside base: RunConfiguration, naming names: [String] = []) -> String {
        var parts = [
            configuration.defenses.isEmpty ? "none" : configuration.defenses.joined(separator: " + "),
            configuration.attack == .none ? "clean" : "\(configuration.attack.rawValue)",
        ]
        let shown = [RunConfiguration.declarations.attack.name, RunConfiguration.declarations.seed.name]
        for setting in RunConfiguration.settings.all where setting.effect != .partly && !shown.contains(setting.name) {
            let mine = setting.text(in: configuration.values)
            guard configuration.depends(on: setting), names.contains(setting.name) || mine != setting.text(in: base.values) else {
                continue
            }
            parts.append("\(setting.name) \(mine)")
        }
        return (parts + varied.map { "\($0.name) \($0.value)" } + ["seed \(configuration.seed)"]).joined(separator: ", ")
    }

    /// Passes over images that it takes, given the sizes of the data's splits.
    public func passes(_ sizes: DataSizes) -> Double {
        let c = configuration, shapes = c.presentHeads.count, evaluation = Double(shapes) * Double(sizes.evaluation(c)) * 2 / 3,
            synthetic = Double(sizes.synthetic(c))
        let rule = c.defenses.compactMap { AggregationRules.make($0, c.values) }.first
        let root = Double(min(sizes.images(c), sizes.synthetic(c)) * c.localEpochs)
        let images = Int(synthetic), clientImages = c.clients * sizes.images(c), rounds = Double(c.rounds)
        let inRounds = c.allRounds.reduce(0.0) { sum, round in
            let participants = c.participants(inRound: round)
            return sum + Double(sizes.images(c) * participants * c.benignEpochs(images: sizes.images(c), inRound: round))
                + (round > 0 && c.evaluates(afterRound: round) ? evaluation : 0)
                + c.passesOfFusion(inRound: round, images: images, shapes: shapes, teachers: participants)
                + (rule?.serverPasses(clients: participants, rootPasses: root) ?? 0)
        }
        var models = c.evaluateClients ? ClientModels.plannedPasses(c, images: sizes.images(c), models: defenses.count) : 0
        for defense in defenses.compactMap({ ModelDefenses.make($0, c.values) }) {
            let inRounds = (defense as? any RoundDefense)?.plannedPassesOfRound(images) ?? 0
            models += Double(shapes) * (defense.plannedPasses(images, ofClients: clientImages) + rounds * inRounds) + evaluation
        }
        return c.passesOfInitialisation(synthetic: sizes.synthetic(c), shapes: shapes) + evaluation + inRounds + models
            + Double(probes.count) * evaluation / 2
    }
}

/// How many images there are.
public struct DataSizes: Sendable {
    public var train: Int, test: Int
    /// Of the file with FM data; nil for `holdout:N`.
    public var generated: Int?

    public init(train: Int, test: Int, generated: Int?) { (self.train, self.test, self.generated) = (train, test, generated) }

    func synthetic(_ c: RunConfiguration) -> Int {
        min(c.syntheticLimit ?? .max, generated ?? SyntheticSource.holdout(ifAny: c.synthetic) ?? 0)
    }

    func evaluation(_ c: RunConfiguration) -> Int {
        min(c.evaluationLimit ?? .max, c.evaluateOn == .dev ? Withheld.devImages : test)
    }

    /// A client's, on average.
    func images(_ c: RunConfiguration) -> Int {
        let withheld =
            (c.evaluateOn == .dev ? Withheld.devImages : 0) + (generated == nil ? SyntheticSource.holdout(ifAny: c.synthetic) ?? 0 : 0)
        return min(c.imagesPerClient ?? .max, max(0, train - withheld) / c.clients)
    }
}
