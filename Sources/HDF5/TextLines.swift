/// The lines of a text file of the program's own (configurations, settings, tables of figures, floors), as any editor on any
/// system saves them: UTF-8, with or without a byte order mark; lines end with LF, CRLF or CR.
public struct TextLines: Sendable {
    public struct Line: Sendable, Equatable {
        /// From 1, as editors count.
        public let number: Int
        /// Without its end.
        public let text: String

        /// The text up to a comment, which "#" begins at the start of a line or after white space, but not between quotation marks
        /// around a value.
        public var uncommented: String {
            let scalars = text.unicodeScalars
            var previous: Unicode.Scalar = " ", at = scalars.startIndex, open = "\"'"
            while at < scalars.endIndex {
                let scalar = scalars[at]
                if scalar == "#", previous.properties.isWhitespace { break }
                if open.unicodeScalars.contains(scalar), Self.bordersValue(previous) {
                    if let end = Self.end(of: scalar, in: scalars[at...].dropFirst()) {
                        at = end
                    } else {
                        open.unicodeScalars.removeAll { $0 == scalar }  // no second one follows, so none need be looked for again
                    }
                }
                previous = scalar
                at = scalars.index(after: at)
            }
            return String(text[..<at])
        }

        /// Whether a quotation mark beside it is at the beginning or the end of a value.
        private static func bordersValue(_ scalar: Unicode.Scalar) -> Bool {
            scalar.properties.isWhitespace || scalar == "=" || scalar == "|"
        }

        /// Where the value ends that `mark` began.
        private static func end(of mark: Unicode.Scalar, in rest: Substring.UnicodeScalarView) -> String.Index? {
            rest.indices.first { at in
                guard rest[at] == mark else { return false }
                return rest[at...].dropFirst().first.map(bordersValue) ?? true
            }
        }

        /// Name and value around the first " = ", by bytes: a value may begin with a combining character.
        public var assignment: (name: String, value: String)? {
            let bytes = Array(text.utf8)
            guard let at = bytes.indices.first(where: { bytes[$0...].starts(with: [0x20, 0x3d, 0x20]) }) else { return nil }
            return (String(decoding: bytes[..<at], as: UTF8.self), String(decoding: bytes[(at + 3)...], as: UTF8.self))
        }
    }

    public let lines: [Line]

    /// The lines of the file at `path`. Throws `system`, `refused` (too long, no regular file) and what `init` throws.
    public static func read(_ path: String, limit: Int, regular: Bool = true) throws(HDF5Error) -> TextLines {
        try TextLines(try Files.read(path, limit: limit, regular: regular), path: path)
    }

    /// - Parameter bytes: the file; a byte order mark before it and the Ctrl-Z that DOS ends it with are not part of the text.
    /// - Throws: `mismatch` naming the first line that is not UTF-8 or has a zero in it.
    public init(_ bytes: [UInt8], path: String) throws(HDF5Error) {
        let mark: [UInt8] = [0xef, 0xbb, 0xbf]
        if bytes.starts(with: [0xff, 0xfe]) || bytes.starts(with: [0xfe, 0xff]) {
            throw .mismatch(path: path, object: "line 1", expected: "text in UTF-8", got: "text in UTF-16 (save it as UTF-8)")
        }
        var lines: [Line] = []
        for part in Self.split(bytes.dropFirst(bytes.starts(with: mark) ? mark.count : 0).dropLast(bytes.last == 0x1a ? 1 : 0)) {
            let number = lines.count + 1
            guard let text = String(validating: part, as: UTF8.self), !part.contains(0) else {
                throw .mismatch(path: path, object: "line \(number)", expected: "text in UTF-8", got: Self.wrong(part))
            }
            lines.append(Line(number: number, text: text))
        }
        self.lines = lines
    }

    /// The bytes between line ends; what stands behind the last one is a line when it is not empty.
    private static func split(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = [], start = bytes.startIndex
        for at in bytes.indices where bytes[at] == 10 || bytes[at] == 13 {
            let endsPair = bytes[at] == 10 && at > bytes.startIndex && bytes[at - 1] == 13  // LF of a CRLF
            if !endsPair { parts.append(bytes[start..<at]) }
            start = at + 1
        }
        if start < bytes.endIndex { parts.append(bytes[start...]) }
        return parts
    }

    /// Words for the first byte that does not belong to UTF-8.
    private static func wrong(_ line: ArraySlice<UInt8>) -> String {
        if line.contains(0) { return "a zero byte" }
        let text = Files.path(Array(line))
        let place = text.unicodeScalars.firstIndex { 0x10ff80...0x10ffff ~= $0.value }
        return place.map { "the byte \(Files.shown(String(text.unicodeScalars[$0])))" } ?? "other bytes"
    }
}

extension String {
    /// Without white space at both ends.
    public var trimmed: String {
        let scalars = unicodeScalars
        guard let first = scalars.firstIndex(where: { !$0.properties.isWhitespace }),
            let last = scalars.lastIndex(where: { !$0.properties.isWhitespace })
        else { return "" }
        return String(scalars[first...last])
    }

    /// Without the quotation marks around it, where it has a pair and no other: other programs' files of options need them.
    public var unquoted: String {
        guard let mark = first, mark == "\"" || mark == "'", count > 1, last == mark else { return self }
        let inside = dropFirst().dropLast()
        return inside.contains(mark) ? self : String(inside)
    }
}
