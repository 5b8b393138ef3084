import Bounds
import DataDefenses
import DefenseInterface
import Detection
import ModelDefenses
import Options
import OwnMethods
import Rules

/// The names of all defences, in the order of tables: on clients' updates, on the FM data, on the finished model.
public enum AllDefenses {
    public static var names: [String] { AggregationRules.names + withoutModel + ModelDefenses.names }

    /// What has a part in the training and is no rule.
    public static let withoutModel = onData + [FederatedDistillation.name]
    /// What decides which FM images are used.
    public static let onData = [Vouching.name] + DataDefenses.names

    public static var namesWithVariants: [String] { names + BoundVariants.all.map(\.name) + [Recommended.name] }

    /// Names that older run files hold, and what took their place: such files can be read, but not gone on with.
    public static let former = ["screen": Vouching.name, "bounds-plain": PaperBounds.name]

    /// What the name of a defence must be, for errors.
    public static var expected: String {
        "one of: \(Recommended.name), \(names.joined(separator: ", ")), \(BoundFit.name)(-paper):NAME, \(OwnMethod.expected(ownKinds))"
    }

    /// What a user's own defence can be.
    public static let ownKinds = [OwnKind.rule, .modelDefense]

    /// The option that names them, for help.
    public static var help: String {
        "Defence; may be repeated. \(Recommended.name) (\(Recommended.parts.joined(separator: " + "))), or one of the rules before aggregation (\(list(AggregationRules.names))), "
            + "\(Vouching.name) (the clients vote on the "
            + "FM labels before these count) or another on the FM data, whose images it leaves out (\(list(DataDefenses.names))), \(FederatedDistillation.name) (the server learns from the clients' answers on FM images and never averages weights), and any on the model (\(list(ModelDefenses.names)); "
            + "\(BoundFit.name):NAME with one part changed: \(BoundVariants.titles(of: BoundFit.name)); "
            + "\(PaperBounds.name):NAME with another reading: \(BoundVariants.titles(of: PaperBounds.name))). "
            + "\(OwnMethod.expected(ownKinds)): a program of your own that is one of them (tools/python)."
    }

    private static func list(_ names: [String]) -> String { names.joined(separator: ", ") }

    /// The options of all defences, each its owner's.
    public static var settings: [any AnySetting] {
        let owned =
            AggregationRules.all.map { ($0.name, $0.settings) }
            + ModelDefenses.all.map { ($0.name, $0.settings) } + DataDefenses.all.map { ($0.name, $0.settings) } + [
                (Vouching.name, Vouching.settings), (FederatedDistillation.name, FederatedDistillation.settings),
            ]
        return owned.flatMap { name, settings in settings.map { $0.belonging(to: .defense, .defended(by: name)) } }
    }

    /// Of defences, those that have a part in the training, in the order of tables; a user's own come last.
    public static func shapingTraining(_ given: [String]) -> [String] {
        names.filter { shapesTraining($0) && given.contains($0) } + given.filter { OwnMethod($0) != nil && shapesTraining($0) }
    }

    /// Whether a defence has a part in the training, which one on the finished model has not.
    public static func shapesTraining(_ name: String) -> Bool {
        OwnMethod(name).map { $0.kind == .rule } ?? (name != FedAvg.name && (AggregationRules.names + withoutModel).contains(name))
    }
}

/// All rules, in the order of the tables. Adding one: a file with its type, and its line here.
public enum AggregationRules {
    public static let all: [any AggregationRule.Type] = [
        FedAvg.self,
        NormClip.self,
        DifferentialPrivacy.self,
        Krum.self,
        MultiKrum.self,
        CoordinateMedian.self,
        TrimmedMean.self,
        RFOut.self,
        Bulyan.self,
        GeometricMedian.self,
        RobustLearningRate.self,
        FoolsGold.self,
        FLAME.self,
        DeepSight.self,
        ClippedClustering.self,
        SignGuard.self,
        FLTrust.self,
    ]

    public static var names: [String] { all.map { $0.name } }

    public static func make(_ name: String, _ settings: Settings = Settings()) -> (any AggregationRule)? {
        if let method = OwnMethod(name) { return method.kind == .rule ? OwnRule(method) : nil }
        return all.first { $0.name == name }?.init(settings)
    }
}

/// All defences on the FM data besides vouching. Adding one: a file with its type, and its line here.
public enum DataDefenses {
    public static let all: [any DataDefense.Type] = [ActivationClustering.self, SpectralSignatures.self, ContaminationAnalyzer.self]

    public static var names: [String] { all.map { $0.name } }

    public static func make(_ name: String, _ settings: Settings) -> (any DataDefense)? {
        all.first { $0.name == name }?.init(settings)
    }
}

/// All defences on the model. Adding one: a file with its type, and its line here.
public enum ModelDefenses {
    public static let all: [any ModelDefense.Type] = [
        BoundFit.self, PaperBounds.self, BoundedUnlearning.self, Unlearning.self, FineTuning.self, LipschitzPruning.self,
        AdversarialPruning.self, MaximumMarginBounds.self, MaximumMarginClipping.self, FinePruning.self,
        FederatedPruning.self, SharpnessAwareTuning.self, FlippedUpdates.self, NeuralCleanse.self, AntiBackdoorLearning.self,
    ]

    public static var names: [String] { all.map { $0.name } }

    /// With the variants of the bound fit.
    public static var namesWithVariants: [String] { names + BoundVariants.all.map(\.name) }

    public static func make(_ name: String, _ settings: Settings = Settings()) -> (any ModelDefense)? {
        if let method = OwnMethod(name) { return method.kind == .modelDefense ? OwnDefense(method) : nil }
        return all.first { $0.name == name }?.init(settings) ?? BoundVariants.make(name, settings)
    }
}
