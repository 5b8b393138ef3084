import Network

/// A defence on the model that works after the fusion of every round, beside the training: it sees every global model and changes none.
/// Clients, teachers and fusion never meet it. It hands out its model once, after the last round.
public protocol RoundDefense: ModelDefense {
    /// What it starts from, before round 1, for a model whose FM images are in `context`.
    func start(_ model: Parameters, _ context: DefenseContext) -> CarriedState
    /// Its work after the fusion of `context.round`, which gave `model`.
    /// - Throws: `DefenseError` when the FM data or the model do not allow it.
    func update(_ carried: inout CarriedState, _ model: Parameters, _ context: DefenseContext) throws
    /// What it hands out with the last global model.
    func outcome(_ carried: CarriedState, _ model: Parameters) -> DefenseOutcome
    /// Whether the last round is another one to it than those before: a finished run cannot get more rounds then.
    var knowsTheLastRound: Bool { get }
    /// About how many passes `update` takes with that many FM images.
    func plannedPassesOfRound(_ images: Int) -> Double
}

/// What a `RoundDefense` carries from round to round: vectors by name, saved with the run as float64.
public struct CarriedState: Equatable, Sendable {
    public var values: [String: [Double]]

    public init(_ values: [String: [Double]] = [:]) { self.values = values }

    /// A vector; empty where there is none.
    public subscript(_ name: String) -> [Double] {
        get { values[name] ?? [] }
        set { values[name] = newValue }
    }
}

extension RoundDefense {
    public var knowsTheLastRound: Bool { false }

    /// All of its work was done in the rounds.
    public func plannedPasses(_ images: Int) -> Double { 0 }

    /// On a finished model, whose rounds it did not see: as many updates as the run had rounds, all of that model.
    public func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome {
        var carried = start(model, context), context = context
        for round in 1...max(1, context.round) {
            context.round = round
            try update(&carried, model, context)
        }
        return outcome(carried, model)
    }
}
