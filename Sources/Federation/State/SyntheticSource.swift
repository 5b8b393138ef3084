/// Where FM data come from, as `--synthetic` says it: the path of a file, `holdout:N` or `none`.
public enum SyntheticSource {
    /// Whether a run has no FM data at all: plain federated learning, without initialisation and fusion.
    public static func isPlain(_ synthetic: String) -> Bool { synthetic == "none" }

    /// N of `holdout:N`, 0 where there is no number; nil for a path.
    public static func holdout(ifAny synthetic: String) -> Int? {
        if synthetic == "holdout" { return 0 }
        return synthetic.hasPrefix("holdout:") ? Int(synthetic.dropFirst(8)) ?? 0 : nil
    }
}
