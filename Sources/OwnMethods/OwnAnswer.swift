import HDF5

/// What an own method answered: the arrays of its file, by name, and findings for people.
public struct OwnAnswer: Sendable {
    private let arrays: [String: OwnArray]
    /// What it wants to be handed back next time.
    public let state: OwnState
    /// Name and value, in the order of the names.
    public let audit: [(name: String, value: String)]
    private let label: String, asked: String, said: String

    private static let keys = ["id", "round", "audit"]

    /// Checks the line and reads the file. Throws `OwnMethodError.answer`.
    init(_ line: [String: OwnJSON], _ number: Int, _ request: OwnRequest, file path: String, label: String, asked: String, said: String) throws {
        (self.label, self.asked, self.said) = (label, asked, said)
        func require(_ holds: Bool, _ expected: String, _ got: String) throws {
            if !holds { throw OwnMethodError.answer(label: label, asked: asked, expected: expected, got: got, said: said) }
        }
        let stranger = line.keys.sorted().first { !Self.keys.contains($0) }
        try require(stranger == nil, "the keys \(Self.keys.joined(separator: ", "))", "\"\((stranger ?? "").prefix(100))\"")
        try require(line["id"] == .whole(number), "the answer to question \(number)", "one to \(line["id"]?.shown ?? "none")")
        if let round = request.members["round"], let theirs = line["round"] { try require(round == theirs, "an answer for round \(round.shown)", "one for \(theirs.shown)") }
        if case let .object(findings) = line["audit"] ?? .object([:]) {
            audit = findings.sorted { $0.key < $1.key }.map { (String($0.key.prefix(100)), String($0.value.shown.prefix(200))) }
        } else {
            audit = []
            try require(false, "audit: names and values", line["audit"]?.shown ?? "")
        }
        guard Files.exists(path) else {
            throw OwnMethodError.answer(label: label, asked: asked, expected: "its arrays in the file \"output\"", got: "no such file", said: said)
        }
        do {
            let file = try HDF5File.open(path), names = try file.children()
            let unknown = names.first { $0 != "state" && !request.allowed.contains($0) }
            try require(unknown == nil, "some of the arrays \(request.allowed.joined(separator: ", "))", "\"\((unknown ?? "").prefix(100))\"")
            var arrays: [String: OwnArray] = [:], left = OwnProgram.mostBytes
            for name in names where name != "state" {
                let array = try file.readArray("/\(name)", limit: left)
                left -= array.bytes
                arrays[name] = array
            }
            self.arrays = arrays
            state = names.contains("state") ? try file.readState("/state", limit: left) : [:]
        } catch let error as HDF5Error {
            throw OwnMethodError.answer(label: label, asked: asked, expected: "arrays of numbers in an HDF5 file", got: "\(error)", said: said)
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
    public func numbers(_ name: String, shape: [Int], _ expected: String = "finite numbers", _ isRight: (Double) -> Bool = \.isFinite) throws -> [Double]? {
        guard let values = try array(name, shape: shape)?.doubles else { return nil }
        if let bad = values.firstIndex(where: { !isRight($0) }) { throw wrong("\(name): \(expected)", "\(values[bad]) at \(bad)") }
        return values
    }

    /// The same in single precision, which is what parameters are. Throws where a number is not finite in it.
    public func floats(_ name: String, count: Int, _ expected: String = "finite numbers", _ isRight: (Float) -> Bool = \.isFinite) throws -> [Float]? {
        guard let array = try array(name, shape: [count]) else { return nil }
        let values: [Float] = if case let .float(values) = array.values { values } else { array.doubles.map(Float.init) }
        if let bad = values.firstIndex(where: { !isRight($0) }) { throw wrong("\(name): \(expected)", "\(values[bad]) at \(bad)") }
        return values
    }

    /// Whole numbers, as many as there are; nil where they were not given. Throws for others.
    public func positions(_ name: String) throws -> [Int]? {
        guard let array = arrays[name] else { return nil }
        let whole = array.doubles.compactMap { Int(exactly: $0) }
        guard array.shape.count == 1, whole.count == array.count else { throw wrong("\(name): whole numbers in one dimension", "others") }
        return whole
    }

    public func wrong(_ expected: String, _ got: String) -> OwnMethodError {
        .answer(label: label, asked: asked, expected: expected, got: got, said: said)
    }

    private static func text(_ shape: [Int]) -> String { "(\(shape.map(String.init).joined(separator: ", ")))" }
}
