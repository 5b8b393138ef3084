/// The names of all defences, in the order of tables: on clients' updates, on the FM data, on the finished model.
public enum AllDefenses {
    public static var names: [String] { AggregationRules.names + [FMScreen.name] + ModelDefenses.names }

    /// Whether a defence has a part in the training, which one on the finished model has not.
    public static func shapesTraining(_ name: String) -> Bool {
        name != FedAvg.name && (AggregationRules.names + [FMScreen.name]).contains(name)
    }
}
