import Attacks
import Datasets
import DefenseInterface
import Network
import Numerics
import Options
import Tensor

/// Activation Clustering: in a class with poison the last hidden layer sees two kinds of images.
///
/// Class by class the representations are reduced to their 10 leading components, each of variance 1, and split by 2-means. The smaller
/// part is left out where it has less than 0.35 of the class's images and the split is a real one, with a silhouette of 0.1 or more.
///
/// The source reduces with FastICA, which turns whitened principal components. 2-means does not depend on how they are turned, so they
/// are not turned here. Where poison is the larger part of a class, the smaller part is clean: the source assumes that it is not.
///
/// Source: Chen et al., SafeAI 2019, arXiv 1811.03728, section 4; 0.35 and 0.1 are those of IBM's Adversarial Robustness Toolbox, which
/// is by the same group.
public struct ActivationClustering: DataDefense {
    public static let name = "activation-clustering"
    /// Leading components of a class's representations.
    static let components = 10
    /// Random starts of 2-means, of which the best counts. In a class of one kind 2,000 do not always find the same split either.
    static let starts = 200
    /// The smaller part of a class is left out where it is less than this part of it.
    static let largestPart = 0.35
    /// The least silhouette of a split that counts, from -1 to 1.
    static let leastSilhouette = 0.1

    public init(_ settings: Settings = Settings()) {}

    public func examine(_ model: Parameters, _ context: DefenseContext) throws -> (images: [Int], findings: [Finding]) {
        examine(try Representations(model, context, for: Self.name), seed: context.seed, threads: context.threads)
    }

    /// What of one class looks like another kind of image.
    struct Split {
        /// Positions of the smaller part.
        var smaller: [Int] = []
        /// The smaller part over the class, and the silhouette; 0 where the class is too small to split.
        var part = 0.0, silhouette = 0.0
        /// The part of the variance that the split explains.
        var explained = 0.0
        var isPoisoned: Bool { part < largestPart && silhouette >= leastSilhouette }
    }

    func examine(_ representations: Representations, seed: UInt64, threads: Int) -> (images: [Int], findings: [Finding]) {
        let splits = parallelMap(representations.classes, threads: threads) { label, _ in split(representations, label, seed: seed) }
        let poisoned = splits.indices.filter { splits[$0].isPoisoned }
        return (
            poisoned.flatMap { splits[$0].smaller }.sorted(),
            [
                Finding("classes with a part of another kind", poisoned.isEmpty ? "none" : list(poisoned.map { "\($0)" })),
                Finding("the smaller part of each class", list(splits.map { fixed($0.part, 2) })),
                Finding("silhouette of each class's split", list(splits.map { fixed($0.silhouette, 2) })),
            ]
        )
    }

    func split(_ representations: Representations, _ label: Int, seed: UInt64) -> Split {
        let images = representations.images(of: label)
        guard images.count > 2 * Self.components else { return Split() }
        let x = decorrelated(leadingComponents(representations.centred(images), count: Self.components))
        var stream = RandomStream(seed: seed, purpose: Self.name, client: label)
        let sides = twoMeans(x, starts: Self.starts, using: &stream), minority = 2 * sides.count { $0 } < sides.count
        let smaller = images.indices.filter { sides[$0] == minority }.map { images[$0] }
        return Split(
            smaller: smaller, part: Double(smaller.count) / Double(images.count), silhouette: silhouette(x, sides),
            explained: explained(x, sides))
    }

    private func list(_ values: [String]) -> String { values.joined(separator: " ") }
}
