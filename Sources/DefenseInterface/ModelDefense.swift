import Attacks
import KernelTable
import Network
import Options

/// The clients of a run, for a defence that asks them something. Each answers from its own images, which stay with it: only
/// answers come back. A malicious client answers as an honest one does, on the images that it has, poisoned ones included.
public struct AskedClients: Sendable {
    private let data: [Samples]

    /// The images of each client, ascending by client.
    public init(_ data: [Samples]) { self.data = data }

    /// Images of all clients.
    public var images: Int { data.reduce(0) { $0 + $1.count } }

    /// One answer of every client that has images, ascending by client.
    public func ask<Answer>(_ question: (Samples) throws -> Answer) rethrows -> [Answer] {
        try data.filter { $0.count > 0 }.map(question)
    }
}

/// What a defence on the finished model has: the FM data as the server holds them (possibly poisoned) and a machine.
/// Nothing about the attack, and no real data but through answers of clients.
public struct DefenseContext: Sendable {
    public var synthetic: Samples
    /// The global model before any client had a part in it, trained on the FM data; nil where it is not known.
    public var initial: Parameters?
    /// Positions of FM images that `vouching` did not trust.
    public var distrusted: [Int] = []
    /// Nil where no clients are at hand: defences that ask them then refuse.
    public var clients: AskedClients?
    public var kernels: KernelTable
    public var threads: Int
    public var seed: UInt64
    public var round: Int
    /// Whether no round comes after this one.
    public var isLastRound = true

    public init(synthetic: Samples, initial: Parameters? = nil, kernels: KernelTable, threads: Int, seed: UInt64, round: Int = 0) {
        self.synthetic = synthetic
        self.initial = initial
        self.kernels = kernels
        self.threads = threads
        self.seed = seed
        self.round = round
    }

    /// The FM images that the server uses.
    public var trusted: Samples { distrusted.isEmpty ? synthetic : synthetic.subset(positionsOfTrusted) }

    /// Their positions in the FM data, ascending.
    public var positionsOfTrusted: [Int] {
        let out = Set(distrusted)
        return (0..<synthetic.count).filter { !out.contains($0) }
    }
}

public struct DefenseOutcome: Sendable {
    public var parameters: Parameters
    public var bounds: Bounds
    /// Passes over images, forward and backward counting 1 and a forward a third.
    public var passes: Double
    public var audit: [Finding]
    /// Positions in the FM data that the defence took for poisoned; nil when it does not look.
    public var suspects: [Int]?

    public init(parameters: Parameters, bounds: Bounds, passes: Double, audit: [Finding] = [], suspects: [Int]? = nil) {
        self.parameters = parameters
        self.bounds = bounds
        self.passes = passes
        self.audit = audit
        self.suspects = suspects
    }
}

/// A defence on the finished global model: it returns other parameters, or bounds, or both.
public protocol ModelDefense: Sendable {
    /// The name on the command line.
    static var name: String { get }
    /// So many FM images it needs at least; 0 where it looks at none.
    static var leastImages: Int { get }
    /// Whether its bounds are the run's, `/bounds` in the file, unless a defence before it in the list has some.
    static var handsOutBounds: Bool { get }
    /// Passes over each image of every client that it takes to answer the defence; 0 where it asks clients nothing.
    static var clientPasses: Double { get }
    /// Whether it needs the model before round 1.
    static var needsInitial: Bool { get }
    /// What it is called in results: the name, or that of a variant with something changed.
    var label: String { get }
    /// The name in a configuration, where a user's own method has its digest too.
    var identity: String { get }
    /// Its options; none for most.
    static var settings: [any AnySetting] { get }
    init()
    /// The same for a defence with options.
    init(_ settings: Settings)
    /// Throws `DefenseError` when the FM data or the model do not allow it.
    func apply(_ model: Parameters, _ context: DefenseContext) throws -> DefenseOutcome
    /// About how many passes `apply` takes of the server with that many FM images, for progress and plans.
    func plannedPasses(_ images: Int) -> Double
}

extension ModelDefense {
    public static var settings: [any AnySetting] { [] }
    public init(_ settings: Settings) { self.init() }
    public static var leastImages: Int { 50 }
    public static var handsOutBounds: Bool { false }
    public static var clientPasses: Double { 0 }
    public static var needsInitial: Bool { false }
    public var label: String { Self.name }
    public var identity: String { label }

    public func plannedPasses(_ images: Int) -> Double { 4 * Double(images) }

    /// With those of the clients, which have that many images together.
    public func plannedPasses(_ images: Int, ofClients clientImages: Int) -> Double {
        plannedPasses(images) + Self.clientPasses * Double(clientImages)
    }

    /// Throws `DefenseError` where the FM data of `file` do not allow the defence, whatever the parameters of the
    /// network. Asked before anything is trained, too.
    public static func check(_ samples: Samples, for network: ClampNet, in file: String? = nil) throws {
        try checkImages(samples, network, atLeast: leastImages, for: name, in: file)
    }

    /// The same for a model, whose parameters are to be finite.
    package func require(_ model: Parameters, _ samples: Samples) throws {
        guard model.allFinite else {
            throw DefenseError.model("the model holds NaN or infinite parameters; \(Self.name) cannot work on it")
        }
        try Self.check(samples, for: model.network)
    }
}

/// Throws `DefenseError` unless there are FM images enough, of the network's classes and of two at least, that are not all the same.
package func checkImages(_ samples: Samples, _ network: ClampNet, atLeast least: Int, for defense: String, in file: String?) throws {
    func unless(_ holds: Bool, _ expected: String, _ got: String) throws {
        guard !holds else { return }
        throw DefenseError.syntheticData("\(file.map { $0 + ": " } ?? "")expected \(expected), got \(got); \(defense) needs them")
    }
    guard least > 0 else { return }
    let count = samples.count
    try unless(count >= least, "at least \(least) FM images", "\(count)")
    try unless(samples.set.classes == network.classes, "FM images of the model's \(network.classes) classes", "\(samples.set.classes)")
    try unless(Set((0..<count).lazy.map(samples.label)).count >= 2, "FM images of at least 2 classes", "\(count) images of 1 class")
    try unless(!allAlike(samples, network.inputFloats), "FM images that differ", "\(count) that are the same")
}

private func allAlike(_ samples: Samples, _ floats: Int) -> Bool {
    func input(_ i: Int) -> [Float] {
        var x = [Float](repeating: 0, count: floats)
        x.withUnsafeMutableBufferPointer { buffer in buffer.baseAddress.map { samples.load(i, into: $0) } }
        return x
    }
    let first = input(0)
    return (1..<samples.count).allSatisfy { input($0) == first }
}
