import Detection
import Rules

/// One name for the combination that we recommend, wherever a defence is named: Multi-Krum for what clients send, `vouching`
/// for the FM data. Both have a part in the training, so the model that it leaves is the run's own.
public enum Recommended {
    public static let name = "recommended"
    public static let parts = [MultiKrum.name, Vouching.name]

    /// Names with those of its parts in its place, each once.
    public static func expanded(_ names: [String]) -> [String] {
        guard names.contains(name) else { return names }
        let all = names.flatMap { $0 == name ? parts : [$0] }
        return all.indices.filter { at in !all[..<at].contains(all[at]) }.map { all[$0] }
    }
}
