import CZlib
import Federation
import HDF5
import Scratch
import Testing
@testable import Experiments

/// The lines of a text file of ours with this text.
func lines(_ text: String) throws -> [TextLines.Line] { try TextLines(Array(text.utf8), path: "text").lines }

@Suite struct ReportTests {
    private let strip = Illustration.Strip(
        name: "clean <images>", channels: 3, side: 2, pixels: (0..<24).map { UInt8($0 * 10) }, labels: ["cat", "dog & co"])
    private let histogram = Illustration.Histogram(
        layer: "conv3", channel: 5, high: 4, bound: 1.5, clean: [3, 1, 0, 0], triggered: [0, 0, 1, 3],
        cleanOver: 0.25, triggeredOver: 1)

    @Test func illustrationsComeBackFromTheirFile() throws {
        let scratch = Scratch(), illustration = Illustration(strips: [strip], histograms: [histogram, histogram])
        try illustration.write(to: scratch.file("a.h5"))
        #expect(try Illustration(scratch.file("a.h5")) == illustration)
    }

    @Test func brokenIllustrationsAreRefused() throws {
        let scratch = Scratch()
        for (labels, shape) in [(1, [2, 3, 2, 2]), (2, [2, 2, 2, 3]), (2, [2, 1, 4, 3])] {
            try HDF5File.write(scratch.file("a.h5")) { file in
                try file.createGroup("/pictures/0")
                try file.write("/pictures/0/images", [UInt8](repeating: 0, count: 24), shape: shape)
                try file.writeStrings("/pictures/0/labels", [String](repeating: "x", count: labels))
            }
            #expect(throws: RunError.self) { try Illustration(scratch.file("a.h5")) }
        }
    }

    /// Chunks with right lengths and check sums; the inflated rows are the images side by side.
    @Test func aStripIsAPNG() throws {
        let png = PNG.strip(strip.pixels, channels: 3, side: 2, gap: 1)
        func big(_ at: Int) -> Int { png[at..<at + 4].reduce(0) { $0 << 8 | Int($1) } }
        var at = 8, chunks: [(kind: String, data: [UInt8])] = []
        while at < png.count {
            let length = big(at), body = Array(png[at + 4..<at + 8 + length])
            #expect(big(at + 8 + length) == Int(crc32(0, body, uInt(body.count))))
            chunks.append((String(decoding: body.prefix(4), as: UTF8.self), Array(body.dropFirst(4))))
            at += 12 + length
        }
        #expect(chunks.map(\.kind) == ["IHDR", "IDAT", "IEND"])
        #expect(chunks[0].data == [0, 0, 0, 5, 0, 0, 0, 2, 8, 2, 0, 0, 0])  // two images of two pixels and a gap; 8 bits, colour
        var rows = [UInt8](repeating: 0, count: 100), length = uLong(rows.count)
        #expect(uncompress(&rows, &length, chunks[1].data, uLong(chunks[1].data.count)) == Z_OK)
        #expect(length == 2 * (1 + 5 * 3))
        #expect(Array(rows[0..<7]) == [0, 0, 40, 80, 10, 50, 90], "no filter, then red, green and blue of two pixels of the first image")
        #expect(Array(rows[10..<13]) == [120, 160, 200], "the second image, behind the gap")
    }

    @Test func activationsAreCountedOnce() {
        #expect(Illustrator.counts([0, 0.99, 3.999, 4], 4).reduce(0, +) == 4)
        #expect(Illustrator.counts([4], 4).last == 1, "the largest value belongs to the last bin")
    }

    @Test func curvesAreAveragedOverSeeds() {
        let a = Curve(rounds: [0, 1], accuracy: [0.5, 0.7], attackSuccess: [0, .nan]),
            b = Curve(rounds: [0, 1], accuracy: [0.7, 0.9], attackSuccess: [0.2, 1])
        let other = Curve(rounds: [0], accuracy: [0], attackSuccess: [0])
        let mean = Curve.mean([a, b, other])
        #expect(mean?.rounds == [0, 1])
        #expect(zip(mean?.accuracy ?? [], [0.6, 0.8]).allSatisfy { abs($0 - $1) < 1e-12 })
        #expect(mean?.attackSuccess[1] == 1, "what was not measured is left out")
        #expect(Curve.mean([]) == nil)
    }

    @Test func figuresSayWhatTheyShowWithoutColour() {
        let curve = Curve(rounds: [0, 1, 2], accuracy: [0.1, 0.5, 0.8], attackSuccess: [0.1, 0.9, 1])
        let attacked = CurvePanel(row: "none", column: "fm", curves: [curve], isAttacked: true).drawing.svg(title: "t")
        #expect(
            attacked.contains("stroke-dasharray") && attacked.contains("<circle") && attacked.contains(">none<")
                && attacked.contains(">fm<"))
        let clean = CurvePanel(row: "none", column: "clean", curves: [curve], isAttacked: false).drawing.svg(title: "t")
        #expect(!clean.contains("stroke-dasharray"), "no attack, no ASR")
        let bars = HistogramPanel(histogram: histogram).drawing.svg(title: "t")
        #expect(bars.contains("z = 1.50") && bars.contains("clean 25 %, triggered 100 %"))
        var unbounded = histogram
        unbounded.bound = .infinity
        #expect(!HistogramPanel(histogram: unbounded).drawing.svg(title: "t").contains("z ="))
    }

    @Test func costsAreSharesOfAPlainRound() {
        var plain = Cost(), mine = Cost()
        (plain.seconds, plain.memory, plain.bytes) = (2, 100, 50)
        (mine.seconds, mine.memory, mine.bytes) = (3, 150, 50)
        let shares = mine.shares(of: plain)
        #expect(shares.secondsShare == 1.5 && shares.memoryShare == 1.5 && shares.bytesShare == 1)
        #expect(mine.shares(of: Cost()).secondsShare.isNaN)
    }

    @Test func aPapersFiguresAreReadFromTheUsersFile() throws {
        #expect(PaperFigures.fields("a,\"b, \"\"c\"\"\",,0.5") == ["a", "b, \"c\"", "", "0.5"])
        let table = TableResult(
            name: "toy", caption: "", claim: "", rowTitle: "", legend: "", measures: Measure.outcomes, rows: ["none", "x, bounds"],
            columns: ["fm"], seeds: [1], places: [], cleanColumns: [], curves: [])
        let header = "table,row,column,acc,asr\n"
        let figures = try PaperFigures(
            parsing: lines(header + "toy,\"x, bounds\",fm,0.9,\r\n\nother,any,any,1,1\n"), path: "paper.csv", [table])
        #expect(figures.value("toy", "x, bounds", "fm", .accuracy) == 0.9)
        #expect(figures.value("toy", "x, bounds", "fm", .attackSuccess) == nil && figures.value("toy", "none", "fm", .accuracy) == nil)
        for (line, word) in [
            ("toy,nobody,fm,1,1", "x, bounds"), ("toy,none,gm,1,1", "fm"), ("toy,none,fm,90,1", "0 to 1"), ("toy,none,fm", "5 fields"),
            ("toy,none,fm,?,", "acc"),
        ] {
            let text = message { _ = try PaperFigures(parsing: lines(header + line), path: "paper.csv", [table]) }
            #expect(text?.contains(word) == true && text?.contains("line 2") == true, "\(line): \(text ?? "accepted")")
        }
        #expect(message { _ = try PaperFigures(parsing: lines("a,b\n"), path: "paper.csv", [table]) }?.contains("table,row,column") == true)
    }
}
