import HDF5

/// What an own method answered: the arrays of its file, by name, and findings for people.
public struct OwnAnswer: Sendable {
    private let arrays: [String: OwnArray]
    /// What it wants to be handed back next time.
    public let state: OwnState
    /// Name and value, in the order of the names.
    public let audit: [(name: String, value: String)]
    private let fault: Fault

    /// Makes the error for what was expected and what came instead.
    typealias Fault = @Sendable (_ expected: String, _ got: String) -> OwnMethodError

    /// Bytes of all arrays of an answer, and of what it remembers: 1 GiB.
    private static let mostBytes = 1 << 30
    private static let keys = ["id", "round", "audit"]

    /// Checks the line and reads the file. Throws `OwnMethodError.answer`.
    init(_ line: [String: OwnJSON], _ number: Int, _ request: OwnRequest, file path: String, _ fault: @escaping Fault) throws {
        self.fault = fault
        audit = try Self.audit(line, number, request, fault)
        guard Files.exists(path) else { throw fault("its arrays in the file \"output\"", "no such file") }
        do {
            let file = try HDF5File.open(path), names = try file.children()
            if let unknown = names.first(where: { $0 != "state" && !request.allowed.contains($0) }) {
                throw fault("some of the arrays \(request.allowed.joined(separator: ", "))", "\"\(unknown.prefix(100))\"")
            }
            var arrays: [String: OwnArray] = [:], left = Self.mostBytes
            for name in names where name != "state" {
                let array = try file.readArray("/\(name)", limit: left)
                left -= array.bytes
                arrays[name] = array
            }
            self.arrays = arrays
            state = names.contains("state") ? try file.readState("/state", limit: left) : [:]
        } catch let error as HDF5Error {
            throw fault("arrays of numbers in an HDF5 file", "\(error)")
        }
    }

    /// Checks the line; its findings.
    private static func audit(
        _ line: [String: OwnJSON], _ number: Int, _ request: OwnRequest,
        _ fault: Fault
    ) throws -> [(name: String, value: String)] {
        if let stranger = line.keys.sorted().first(where: { !keys.contains($0) }) {
            throw fault("the keys \(keys.joined(separator: ", "))", "\"\(stranger.prefix(100))\"")
        }
        guard line["id"] == .whole(number) else {
            throw fault("the answer to question \(number)", "one to \(line["id"]?.shown ?? "none")")
        }
        if let round = request.members["round"], let theirs = line["round"], theirs != round {
            throw fault("an answer for round \(round.shown)", "one for \(theirs.shown)")
        }
        guard case let .object(findings) = line["audit"] ?? .object([:]) else {
            throw fault("audit: names and values", line["audit"]?.shown ?? "")
        }
        return findings.sorted { $0.key < $1.key }.map {
            (String($0.key.prefix(100)), String($0.value.shown.prefix(200)))
        }
    }

    public func has(_ name: String) -> Bool { arrays[name] != nil }

    /// The array `name` as it is; nil where it was not given. Throws for another shape.
    public func array(_ name: String, shape: [Int]) throws -> OwnArray? {
        guard let array = arrays[name] else { return nil }
        guard array.shape == shape else { throw wrong("\(name) of shape \(Self.text(shape))", Self.text(array.shape)) }
        return array
    }

    /// Real numbers; nil where they were not given. Throws for another shape, and for one that `isRight` does not hold of.
    public func numbers(
        _ name: String, shape: [Int], _ expected: String = "finite numbers",
        _ isRight: (Double) -> Bool = \.isFinite
    ) throws -> [Double]? {
        guard let values = try array(name, shape: shape)?.doubles else { return nil }
        return try checked(name, values, expected, isRight)
    }

    /// The same in single precision, which is what parameters are. Throws where a number is not finite in it.
    public func floats(
        _ name: String, count: Int, _ expected: String = "finite numbers",
        _ isRight: (Float) -> Bool = \.isFinite
    ) throws -> [Float]? {
        guard let array = try array(name, shape: [count]) else { return nil }
        if case let .float(values) = array.values { return try checked(name, values, expected, isRight) }
        return try checked(name, array.doubles.map(Float.init), expected, isRight)
    }

    private func checked<Number>(
        _ name: String, _ values: [Number], _ expected: String,
        _ isRight: (Number) -> Bool
    ) throws -> [Number] {
        guard let bad = values.firstIndex(where: { !isRight($0) }) else { return values }
        throw wrong("\(name): \(expected)", "\(values[bad]) at \(bad)")
    }

    /// Whole numbers, as many as there are; nil where they were not given. Throws for others.
    public func positions(_ name: String) throws -> [Int]? {
        guard let array = arrays[name] else { return nil }
        let whole = array.doubles.compactMap { Int(exactly: $0) }
        guard array.shape.count == 1, whole.count == array.count else {
            throw wrong("\(name): whole numbers in one dimension", "others")
        }
        return whole
    }

    public func wrong(_ expected: String, _ got: String) -> OwnMethodError { fault(expected, got) }

    private static func text(_ shape: [Int]) -> String { "(\(shape.map(String.init).joined(separator: ", ")))" }
}
