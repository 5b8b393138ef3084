import HDF5

/// What a checkpoint is among those that this program writes, for people.
extension RunFile {
    /// "run file", "client's update, of step local" and so on; "checkpoint of ClampNet" for a model that others wrote.
    public static func kind(_ file: HDF5File) throws -> String {
        let base = "checkpoint of ClampNet"
        guard try file.stringAttribute("format") == format else { return base }
        switch try StepKind(of: file) {
        case .global: return "\(base): run file, or global checkpoint of step"
        case .update: return "\(base): a client's update, of step local"
        case .aggregate: return "\(base): an aggregate, of step aggregate"
        case .other: return try file.exists("/bounds") ? "\(base): a model with bounds" : base
        }
    }

    /// What a file of `step` says of its round; empty for others.
    public static func stepFacts(_ file: HDF5File) throws -> [(name: String, value: String)] {
        guard try file.stringAttribute("format") == format else { return [] }
        switch try StepKind(of: file) {
        case .update:
            return try ["client", "round", "images"].map { ($0, try file.intAttribute($0, of: "/update").map { "\($0)" } ?? "not said") }
                + [("loss", try file.doubleAttribute("loss", of: "/update").map { "\($0)" } ?? "not said")]
        case .aggregate:
            return try ["clients", "missing", "rejected"].map { name in
                let clients = try file.read("/aggregate/\(name)", as: Int64.self, shape: [-1]).values
                return (name, clients.isEmpty ? "none" : clients.map { "\($0)" }.joined(separator: " "))
            }
        case .global, .other: return []
        }
    }
}
