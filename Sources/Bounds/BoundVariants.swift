import DefenseInterface
import Network
import Options

/// Defences with one part changed, for the table `ablation`: `NAME:VARIANT` wherever a defence on the model is named.
///
/// Not among them: one bound for every unit of a feature map. The network bounds channels, and units only in dense layers.
public enum BoundVariants {
    public struct Variant: Sendable {
        /// `bounds:VARIANT` or `bounds-paper:VARIANT`.
        public var name: String
        /// The defence that is changed.
        public var base: String
        /// What is changed, for a table.
        public var title: String
        let make: @Sendable (_ label: String, _ settings: Settings) -> any ModelDefense

        init(_ name: String, _ title: String, _ change: @escaping @Sendable (inout BoundFit) -> Void) {
            (self.name, base, self.title) = (BoundFit.name + ":" + name, BoundFit.name, title)
            make = { label, settings in
                var fit = BoundFit(settings)
                fit.label = label
                change(&fit)
                return fit
            }
        }

        init(paper name: String, _ title: String, _ change: @escaping @Sendable (inout PaperBounds) -> Void) {
            (self.name, base, self.title) = (PaperBounds.name + ":" + name, PaperBounds.name, title)
            make = { label, settings in
                var fit = PaperBounds(settings)
                fit.label = label
                change(&fit)
                return fit
            }
        }
    }

    public static let all = [
        Variant("per-layer", "one bound a layer") { $0.settings.perLayer = true },
        Variant("start-maxima", "z starts at the maxima") { $0.startQuantile = 1 },
        Variant("start-0.9", "z starts at the 0.9 quantile") { $0.startQuantile = 0.9 },
        Variant("logits", "fidelity: squared error of the logits") { $0.settings.comparesLogits = true },
        Variant("no-screen", "no screen, no search") { $0.screens = false },
        Variant("trimming", "suspects set aside only, no evidence") { $0.settings.evidenceWeight = 0 },
        Variant("no-transplants", "no images under the triggers found") { $0.settings.transplantedInBatch = 0 },
        Variant("no-pressure", "no pressure on suspects") { $0.settings.stayed = 1 },
        Variant("agreement-0.9", "penalty to an agreement of 0.9") { $0.settings.agreement = 0.9 },
        Variant("agreement-0.99", "penalty to an agreement of 0.99") { $0.settings.agreement = 0.99 },
        Variant(paper: "start-10", "Algorithm 1: z starts uniform on 0 to 10") { $0.start = .uniform(10) },
        Variant(paper: "start-scaled", "Algorithm 1: z starts uniform on 0 to each channel's maximum") { $0.start = .uniformOfMaxima },
        Variant(paper: "start-maxima", "Algorithm 1: z starts at the maxima") { $0.start = .maxima },
        Variant(paper: "sum", "Algorithm 1: squared differences summed over a batch") { $0.reduction = .sum },
        Variant(paper: "mean-of-classes", "Algorithm 1: squared differences averaged over classes, too") { $0.reduction = .meanOfClasses },
        Variant(paper: "sgd", "Algorithm 1: plain gradient steps") { $0.optimiser = .sgd },
        Variant(paper: "steps", "Algorithm 1: iterations are steps") { $0.passesAreSteps = true },
        Variant(paper: "every-layer", "Algorithm 1: bounds on every layer") { $0.layers = Layer.allCases },
        Variant(paper: "once", "Algorithm 1: once, after the last round") { $0.once = true },
    ]

    /// For help: the names after `bounds:` and the like.
    public static func titles(of base: String) -> String {
        all.filter { $0.base == base }.map { String($0.name.dropFirst(base.count + 1)) }.joined(separator: ", ")
    }

    public static func make(_ name: String, _ settings: Settings = Settings()) -> (any ModelDefense)? {
        all.first { $0.name == name }.map { $0.make($0.name, settings) }
    }
}
