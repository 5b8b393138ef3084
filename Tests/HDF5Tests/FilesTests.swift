import Glibc
import Scratch
import Testing
@testable import HDF5

@Suite struct FilesTests {
    private let scratch = Scratch()

    /// Any bytes without a zero come back from the text that stands for them.
    @Test func pathsLoseNothing() {
        var state: UInt64 = 1
        func next(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % below
        }
        let pieces: [[UInt8]] = [
            [0xe9], [0xc3, 0xa9], [0xff], [0xf4, 0x8f, 0xbf, 0xa9], [0xe2, 0x82], [0x41], [0x2f], [0xcc, 0x81], [0xed, 0xa0, 0x80],
            [0xf4, 0x90],
        ]
        for _ in 0..<5000 {
            let bytes = (0..<next(12)).flatMap { _ in next(3) == 0 ? [UInt8(1 + next(255))] : pieces[next(pieces.count)] }
            #expect(Files.bytes(Files.path(bytes)) == bytes)
        }
        #expect(Files.path(Array("größer 日本".utf8)) == "größer 日本")
        #expect(Files.shown(Files.path([0x61, 0xe9, 0x62])) == "a\\xE9b" && Files.shown("é") == "é")
    }

    @Test func partsOfPaths() {
        #expect(Files.split("a/b/c.h5") == ("a/b", "c.h5") && Files.split("c.h5") == (".", "c.h5") && Files.split("/c") == ("/", "c"))
        #expect(Files.split("a/\u{301}").name.utf8.elementsEqual("\u{301}".utf8))  // "/" and it look like one character
        #expect(Files.parts("/a//b/\u{301}c/").count == 3)
        #expect(Files.companion(of: "r/out.h5", ".lock") == "r/out.h5.lock" && Files.companion(of: "out.h5", ".lock") == "out.h5.lock")
        let long = String(repeating: "x", count: 250)
        let one = Files.companion(of: "r/\(long)1", ".lock"), other = Files.companion(of: "r/\(long)2", ".lock")
        #expect(one != other && one.utf8.count < 80 && one.hasPrefix("r/xxx") && Files.companion(of: long, ".lock").utf8.count < 80)
        #expect(Files.companion(of: "/\(long)", ".lock").hasPrefix("/x"))
    }

    @Test func filesWhoseNamesAreNotUTF8() throws {
        let name = Files.path([0x63, 0x61, 0x66, 0xe9]), path = scratch.path + "/" + name
        for value in 1...3 {
            try HDF5File.write(path) { try $0.write("x", scalar: Int64(value)) }
            #expect(try HDF5File.open(path).read("x", as: Int64.self).values == [Int64(value)])
        }
        #expect(Files.names(in: scratch.path).filter { !$0.hasPrefix(".") } == [name] && Files.resolved(path).hasSuffix(name))
        #expect(Files.unlink(path) && !Files.exists(path) && errno == ENOENT)
    }

    private func lines(_ bytes: [UInt8]) throws -> [TextLines.Line] { try TextLines(bytes, path: "f").lines }

    @Test func linesOfAnyEditor() throws {
        let wanted = ["one", "", "two", "  three"].enumerated().map { TextLines.Line(number: $0.offset + 1, text: $0.element) }
        for end in ["\n", "\r\n", "\r"] {
            let text = Array("one\(end)\(end)two\(end)  three".utf8)
            for mark in [[], [0xef, 0xbb, 0xbf]] as [[UInt8]] {
                #expect(try lines(mark + text) == wanted && lines(mark + text + Array(end.utf8)) == wanted)
            }
        }
        #expect(try lines(Array("a\n\rb\r\n\nc".utf8)).map(\.text) == ["a", "", "b", "", "c"])
        #expect(try lines([]).isEmpty && lines([10]).map(\.text) == [""] && lines([0xef, 0xbb, 0xbf]).isEmpty)
    }

    @Test func namesAndValues() throws {
        let line = try lines(Array("a = \u{301}x = y".utf8))[0]
        #expect(line.assignment?.name == "a" && line.assignment?.value.unicodeScalars.count == 6)
        #expect(try lines(Array("a=b\n = \n".utf8)).map { $0.assignment == nil } == [true, false])
        for (text, left) in [("out = r/exp#1.h5", "out = r/exp#1.h5"), ("a = b # c", "a = b "), ("# c", ""), ("a\t#", "a\t"), ("a#", "a#")]
        {
            #expect(try lines(Array(text.utf8))[0].uncommented == left)
        }
    }

    @Test func commentsAndQuotationMarks() throws {
        for (text, left) in [
            ("a = \"b #1\" # c", "a = \"b #1\" "), ("a = 'b #1'", "a = 'b #1'"), ("a='b #1'#2", "a='b "), ("a = \"b #1", "a = \"b "),
            ("a = it's #1 or 'so", "a = it's "), ("a = 'x #1' | \"y #2\"|z # c", "a = 'x #1' | \"y #2\"|z "), ("# 'a' #", ""),
            ("a = '' # '", "a = '' "), ("a = 'it's #1' # c", "a = 'it's #1' "),
        ] {
            #expect(try lines(Array(text.utf8))[0].uncommented == left, "\(text)")
        }
        let marks = try lines(Array(String(repeating: " \"", count: 30_000).utf8) + Array("x # c".utf8))[0].uncommented
        #expect(marks.utf8.count == 60_002)
    }

    @Test func whatIsNoText() {
        for (bytes, words) in [
            ([0x61, 10, 0x62, 0xe9], "f: line 2: expected text in UTF-8, got the byte"), ([0xff, 0xfe, 0x61, 0], "UTF-16"),
            ([0xfe, 0xff, 0, 0x61], "UTF-16"), ([13, 10, 13, 10, 0], "line 3: expected text in UTF-8, got a zero byte"),
            ([0xc0, 0xaf], "line 1"), ([0xed, 0xa0, 0x80], "line 1"),
        ] as [([UInt8], String)] {
            #expect(message { _ = try lines(bytes) }?.contains(words) == true)
        }
    }

    @Test func trimming() {
        #expect("\t a b\u{a0} \r".trimmed == "a b" && "".trimmed == "" && " ".trimmed == "")
        #expect(" \u{301}x".trimmed.unicodeScalars.count == 2)
    }

    /// A long message keeps its end, which says what is wrong.
    @Test func longMessages() {
        let text = HDF5Error.oneLine(String(repeating: "x", count: 5000) + ": File name too long")
        #expect(text.unicodeScalars.count == 1000 && text.hasSuffix(": File name too long"))
    }
}
