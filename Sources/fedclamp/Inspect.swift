import ArgumentParser
import Datasets
import Experiments
import Federation
import HDF5
import Network

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Describe a file or folder of results: shapes, configuration, history.",
        discussion: Help.folded(
            """
            All files that this program writes are recognised; of any other HDF5 file the tree is shown. Of results.h5, or of a folder \
            that reproduce, sweep or merge writes to, finished or not, the tables and an index: which file in cells holds which \
            training, with what options, and how far it is. Of a log (run --log) the options, rounds and defences. \
            A data set's digest is computed and compared: exit code 1 where it differs.

              fedclamp inspect run.h5
              fedclamp inspect data/fashion-mnist.h5 --json
              fedclamp inspect results/smoke
            """))

    @Argument(help: ArgumentHelp("File to read, or folder of results.", valueName: "file|dir"), completion: .file())
    var path: String

    @Flag(help: "One JSON object instead of text.")
    var json = false

    func run() throws {
        if Files.isFolder(path) { return try inspectFolder() }
        if LogFile.looksLikeOne(path) { return try inspectLog() }
        let file = try HDF5File.open(path)
        var seen: Set<UInt64> = []
        var report = Inspection(path: path, tree: try Self.tree(file, seen: &seen))
        if try file.exists("/model/conv1/weight") {
            report.kind = try RunFile.kind(file)
            report.describe(try Checkpoint(reading: path), try Self.provenance(file))
            report.add("step", try RunFile.stepFacts(file))
        } else if try file.exists("/train/images") {
            report.kind = "data set"
            let dataset = try DatasetFile.read(path)
            report.describe(dataset)
            report.compare(dataset.digest, with: Dataset.digest(of: [dataset.train, dataset.test]))
        } else if try file.exists("/images") {
            report.kind = "unnamed split (FM data)"
            let split = try DatasetFile.readUnnamedSplit(path)
            report.describe(split)
            report.compare(split.digest, with: Dataset.digest(of: [split.set]))
        } else if try ResultSummary.isOne(file) {
            report.kind = "results of tables"
            report.describe(try ResultSummary(file))
        } else if let facts = try IllustrationFile.facts(file) {
            report.kind = "pictures and activations of a training"
            report.add("shown in the report", facts)
        }
        output(json ? report.json.rendered() : report.text)
        if let fault = report.fault { throw Failure.check("\(path): \(fault)") }
    }

    private func inspectFolder() throws {
        guard let summary = try ResultSummary(folder: ResultFolder(path)) else {
            throw Failure.input("\(path): expected a file, or a folder of results with setting.txt")
        }
        var report = Inspection(path: path, tree: [])
        report.kind = "folder of results"
        report.describe(summary)
        output(json ? report.json.rendered() : report.text)
    }

    private func inspectLog() throws {
        var report = Inspection(path: path, tree: [])
        report.kind = "log of a run"
        report.describe(try LogFile(reading: path))
        output(json ? report.json.rendered() : report.text)
    }

    /// Datasets that are listed of one group.
    private static let most = 10_000

    /// Every name with what it leads to, of a dataset shape and kind, depth first; groups may contain themselves and are entered once.
    private static func tree(_ file: HDF5File, _ group: String = "", _ depth: Int = 0, seen: inout Set<UInt64>) throws -> [Inspection.Node]
    {
        guard depth < 16, seen.insert(try file.identity(of: group.isEmpty ? "/" : group)).inserted else { return [] }
        var nodes: [Inspection.Node] = []
        for name in try file.children(of: group.isEmpty ? "/" : group) {
            guard nodes.count < most else { break }
            let path = "\(group)/\(name)"
            if case .group = try file.entry(path) {
                nodes += try tree(file, path, depth + 1, seen: &seen)
            } else {
                nodes.append(node(path, try file.entry(path)))
            }
        }
        return nodes
    }

    private static func node(_ path: String, _ entry: HDF5Entry) -> Inspection.Node {
        switch entry {
        case .dataset(let info): .init(path: path, shape: info.shape, kind: "\(info.kind)")
        case .group: .init(path: path, shape: nil, kind: "group")
        case .namedType(.other): .init(path: path, shape: nil, kind: "named type")
        case .namedType(let kind): .init(path: path, shape: nil, kind: "named type: \(kind)")
        case .empty(let kind): .init(path: path, shape: nil, kind: "\(kind), without a value")
        case .dangling(let target): .init(path: path, shape: nil, kind: "link to nothing: \(target)")
        case .refused(let reason): .init(path: path, shape: nil, kind: "not read: \(reason)")
        }
    }

    private static func provenance(_ file: HDF5File) throws -> [(String, String)] {
        guard try file.exists("/provenance") else { return [] }
        return try file.attributes(of: "/provenance").compactMap { name in
            try file.stringsAttribute(name, of: "/provenance").map { (name, $0.joined(separator: ", ")) }
        }
    }
}
