import Bounds
import Detection
import Rules

/// One name for the combination that README recommends, wherever a defence is named: Multi-Krum for what clients send, `vouching` for the
/// FM data,
/// `bounds-unlearning` for what came in all the same.
public enum Recommended {
    public static let name = "recommended"
    /// Of the parts, the one whose model is the result.
    public static let last = BoundedUnlearning.name
    public static let parts = [MultiKrum.name, Vouching.name, last]

    /// Names with those of its parts in its place, each once.
    public static func expanded(_ names: [String]) -> [String] {
        guard names.contains(name) else { return names }
        let all = names.flatMap { $0 == name ? parts : [$0] }
        return all.indices.filter { at in !all[..<at].contains(all[at]) }.map { all[$0] }
    }
}
