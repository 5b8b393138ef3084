import Attacks
import Network
import Options

/// A defence on the FM data: it looks at a model that has learned from all of them, and says which images look poisoned. These are
/// left out of the whole training, and the initialisation is done anew without them.
public protocol DataDefense: Sendable {
    /// The name on the command line.
    static var name: String { get }
    /// So many FM images it needs at least.
    static var leastImages: Int { get }
    /// Its options; none for most.
    static var settings: [any AnySetting] { get }
    init(_ settings: Settings)
    /// - Parameter model: trained on all images of `context.synthetic`.
    /// - Returns: positions among these images, ascending, and what it found out.
    /// - Throws: `DefenseError` when the FM data or the model do not allow it.
    func examine(_ model: Parameters, _ context: DefenseContext) throws -> (images: [Int], findings: [Finding])
}

extension DataDefense {
    public static var leastImages: Int { 50 }
    public static var settings: [any AnySetting] { [] }

    /// Throws `DefenseError` where the FM data of `file` do not allow it. Asked before anything is trained, too.
    public static func check(_ samples: Samples, for network: ClampNet, in file: String? = nil) throws {
        try checkImages(samples, network, atLeast: leastImages, for: name, in: file)
    }
}
