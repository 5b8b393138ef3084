/// Data made of original files. `departs`: the first file, or split, that is not the published one; nil where all are, and
/// the data set bears the published name.
public struct Imported: Sendable {
    public let dataset: Dataset, departs: String?
}
