/// Where a run's data came from. Names and digests as in `RunData`; "none" for a data set that only the clients have.
public struct Provenance: Equatable, Sendable {
    public var dataset: String, datasetDigest: String, synthetic: String, syntheticDigest: String

    public init(dataset: String, datasetDigest: String, synthetic: String, syntheticDigest: String) {
        (self.dataset, self.datasetDigest, self.synthetic, self.syntheticDigest) = (dataset, datasetDigest, synthetic, syntheticDigest)
    }

    /// For clients with data of their own.
    public static let unknown = "none"
}
