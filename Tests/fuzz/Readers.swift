@testable import Datasets
@testable import Experiments
@testable import HDF5

/// What libFuzzer calls with the bytes that it makes up: the first chooses a reader. A reader must end, with a value or an
/// error, and keep what is said here of it; anything else stops the process.
@_cdecl("LLVMFuzzerTestOneInput")
public func readOne(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    guard let bytes, count > 0 else { return 0 }
    let input = [UInt8](UnsafeBufferPointer(start: bytes + 1, count: count - 1))
    readers[Int(bytes[0]) % readers.count](input)
    return 0
}

private let readers: [@Sendable ([UInt8]) -> Void] = [lines, paths, setting, floors, figures, gzip]

/// Lines are numbered from 1, without line ends, and the same for every kind of line end.
@Sendable private func lines(_ input: [UInt8]) {
    guard let read = try? TextLines(input, path: "f").lines else { return }
    precondition(read.map(\.number) == Array(1..<read.count + 1))
    precondition(read.allSatisfy { !$0.text.utf8.contains(10) && !$0.text.utf8.contains(13) })
    for line in read {
        precondition(line.text.utf8.starts(with: line.uncommented.utf8) && line.text.trimmed.trimmed == line.text.trimmed)
    }
    for end in ["\n", "\r\n", "\r"] {
        let again = read.map { $0.text + end }.joined()
        guard !again.unicodeScalars.starts(with: "\u{feff}".unicodeScalars) else { continue }
        precondition((try? TextLines(Array(again.utf8), path: "f").lines) == read)
    }
}

/// A path's bytes come back, and no message shows a byte that would steer a terminal.
@Sendable private func paths(_ input: [UInt8]) {
    let text = Files.path(input)
    precondition(Files.bytes(text) == input)
    precondition(HDF5Error.oneLine(text).unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f })
    let (folder, name) = Files.split(text)
    precondition(!name.utf8.contains(0x2f) && !folder.isEmpty)
    precondition(Files.bytes(Files.split(Files.companion(of: text, ".lock")).name).count < 100)
}

/// What is read can be written, and is read again as the same.
@Sendable private func setting(_ input: [UInt8]) {
    guard let read = try? TextLines(input, path: "f").lines,
        let setting = try? Setting(parsing: read, path: "f")
    else { return }
    let again = try? Setting(parsing: TextLines(Array(setting.text.utf8), path: "f").lines, path: "f")
    precondition(again == setting, "\(setting)")
}

@Sendable private func floors(_ input: [UInt8]) {
    guard let read = try? TextLines(input, path: "f").lines,
        let floors = try? ResultFolder.floors(parsing: read, path: "f")
    else { return }
    precondition(floors.values.allSatisfy { $0.isNaN || (0...1).contains($0) })
}

@Sendable private func figures(_ input: [UInt8]) {
    guard let read = try? TextLines(input, path: "f").lines else { return }
    let table = TableResult(
        name: "toy", caption: "", claim: "", rowTitle: "", legend: "",
        measures: Measure.outcomes, rows: ["none", "x, bounds"], columns: ["fm"], seeds: [1], places: [], cleanColumns: [], curves: [])
    for line in read { precondition(!PaperFigures.fields(line.text).isEmpty) }
    guard let figures = try? PaperFigures(parsing: read, path: "f", [table]) else { return }
    precondition(figures.value("toy", "none", "fm", .accuracy).map { (0...1).contains($0) } ?? true)
}

/// No more bytes than asked for, and the first ones are the same however many are.
@Sendable private func gzip(_ input: [UInt8]) {
    guard let few = try? InputFile.inflate(input, first: 16, "f"),
        let many = try? InputFile.inflate(input, first: 1 << 16, "f")
    else { return }
    precondition(few.bytes.count <= 16 && many.bytes.count <= 1 << 16 && many.bytes.starts(with: few.bytes))
}
