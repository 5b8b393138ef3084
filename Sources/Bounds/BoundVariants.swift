import Numerics

/// Fits with one part changed, for the table `ablation`: `bounds:NAME` wherever a defence on the model is named.
///
/// Not among them: one bound for every unit of a feature map. The network bounds channels, and units only in fc1.
public enum BoundVariants {
    public struct Variant: Sendable {
        /// `bounds:NAME`.
        public var name: String
        /// What is changed, for a table.
        public var title: String
        var change: @Sendable (inout BoundFit) -> Void

        init(_ name: String, _ title: String, _ change: @escaping @Sendable (inout BoundFit) -> Void) {
            self.name = BoundFit.name + ":" + name
            self.title = title
            self.change = change
        }
    }

    public static let all = [
        Variant("per-layer", "one bound a layer") { $0.perLayer = true },
        Variant("start-maxima", "z starts at the maxima") { $0.startQuantile = 1 },
        Variant("start-0.9", "z starts at the 0.9 quantile") { $0.startQuantile = 0.9 },
        Variant("logits", "fidelity: squared error of the logits") { $0.comparesLogits = true },
        Variant("no-screen", "no screen, no search") { $0.screens = false },
        Variant("trimming", "suspects set aside only, no evidence") { $0.evidenceWeight = 0 },
        Variant("no-transplants", "no images under the triggers found") { $0.transplantedInBatch = 0 },
        Variant("no-pressure", "no pressure on suspects") { $0.stayed = 1 },
        Variant("agreement-0.9", "penalty to an agreement of 0.9") { $0.agreement = 0.9 },
        Variant("agreement-0.99", "penalty to an agreement of 0.99") { $0.agreement = 0.99 },
    ]

    /// For help: the names after `bounds:`.
    public static var titles: String { all.map { String($0.name.dropFirst(BoundFit.name.count + 1)) }.joined(separator: ", ") }

    public static func make(_ name: String) -> BoundFit? {
        all.first { $0.name == name }.map { variant in
            var fit = BoundFit()
            fit.label = variant.name
            variant.change(&fit)
            return fit
        }
    }
}
