import Bounds
import DefenseInterface
import Detection
import ModelDefenses
import Rules

/// The names of all defences, in the order of tables: on clients' updates, on the FM data, on the finished model.
public enum AllDefenses {
    public static var names: [String] { AggregationRules.names + [FMScreen.name] + ModelDefenses.names }

    /// Whether a defence has a part in the training, which one on the finished model has not.
    public static func shapesTraining(_ name: String) -> Bool {
        name != FedAvg.name && (AggregationRules.names + [FMScreen.name]).contains(name)
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

    public static func make(_ name: String, _ options: RuleOptions = RuleOptions()) -> (any AggregationRule)? {
        all.first { $0.name == name }?.init(options)
    }
}

/// All defences on the model. Adding one: a file with its type, and its line here.
public enum ModelDefenses {
    public static let all: [any ModelDefense.Type] = [
        BoundFit.self, PlainBoundFit.self, BoundedUnlearning.self, Unlearning.self, FineTuning.self, LipschitzPruning.self,
        AdversarialPruning.self, MaximumMarginBounds.self, MaximumMarginClipping.self, FinePruning.self,
        FederatedPruning.self,
    ]

    public static var names: [String] { all.map { $0.name } }

    /// With the variants of the bound fit.
    public static var namesWithVariants: [String] { names + BoundVariants.all.map(\.name) }

    public static func make(_ name: String) -> (any ModelDefense)? { all.first { $0.name == name }?.init() ?? BoundVariants.make(name) }
}
