/// The part of ClampNet between fc1 and the output layer fc2: no, one, two or three pairs of a dense layer and a ReLU,
/// all of one width, each with its bounds. The layers before it, the trunk, are the same in every network.
///
/// Text form: "none", or PAIRSxWIDTH as in "2x192".
///
/// Source: Bi and Li, arXiv 2410.17573, table II (heterogeneous clients).
public struct Head: Sendable, Hashable, CustomStringConvertible {
    /// Units that the layers of a head may have.
    public static let widths = [128, 192, 256]
    public static let mostPairs = 3
    /// Units of fc1, which the head reads.
    static let inputs = 128
    /// fc1's units go straight to fc2.
    public static let none = Head(known: 0, inputs)
    /// No head, then 1x128, 1x192, ... 3x256.
    public static let all = [none] + (1...mostPairs).flatMap { pairs in widths.map { Head(known: pairs, $0) } }

    public let pairs: Int
    /// Units of each layer, and inputs of fc2; without pairs those are fc1's 128.
    public let width: Int

    private init(known pairs: Int, _ width: Int) { (self.pairs, self.width) = (pairs, width) }

    /// - Parameters:
    ///   - pairs: 0 to 3; with 0 the width says nothing, and the head is `none`.
    ///   - width: 128, 192 or 256.
    /// - Throws: `HeadError` with what was given and what there is.
    public init(pairs: Int, width: Int) throws(HeadError) {
        guard (0...Self.mostPairs).contains(pairs) else { throw .pairs(pairs) }
        guard Self.widths.contains(width) else { throw .width(width) }
        self = pairs == 0 ? .none : Head(known: pairs, width)
    }

    /// - Parameter text: "none" or PAIRSxWIDTH.
    /// - Throws: `HeadError`.
    public init(_ text: String) throws(HeadError) {
        if text == "none" {
            self = .none
            return
        }
        let parts = text.split(separator: "x", omittingEmptySubsequences: false)
        guard parts.count == 2, let pairs = Self.number(parts[0]), pairs > 0, let width = Self.number(parts[1]) else {
            throw .text(text)
        }
        try self.init(pairs: pairs, width: width)
    }

    /// Digits only, as `description` writes them: no sign, no zero before the number.
    private static func number(_ text: Substring) -> Int? {
        guard let value = Int(text), text == "\(value)" else { return nil }
        return value
    }

    public var description: String { pairs == 0 ? "none" : "\(pairs)x\(width)" }
}

/// A head that does not exist.
public enum HeadError: Error, Equatable, Sendable, CustomStringConvertible {
    case pairs(Int), width(Int), text(String)

    private static let widths = Head.widths.map(String.init).joined(separator: ", ")

    public var description: String {
        switch self {
        case .pairs(let pairs):
            "a head of \(pairs) pairs does not exist: a head has 0 to \(Head.mostPairs) pairs of dense layer and ReLU"
        case .width(let width):
            "a head of width \(width) does not exist: the width is one of \(Self.widths)"
        case .text(let text):
            "\"\(text)\" is no head: expected none, or PAIRSxWIDTH as in 2x192, with 1 to \(Head.mostPairs) pairs and a width of \(Self.widths)"
        }
    }
}
