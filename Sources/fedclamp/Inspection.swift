import Datasets
import Experiments
import Federation
import HDF5
import Network
import Numerics
import OwnMethods

/// What `inspect` found in a file.
struct Inspection {
    /// `shape`: nil for what is no dataset.
    struct Node { var path: String, shape: [Int]?, kind: String }

    let path: String
    let tree: [Node]
    var kind = "HDF5 file of another kind"
    /// Facts in sections: a heading, then name and value.
    private var sections: [(heading: String, facts: [(String, String)])] = []
    private var history: [HistoryRow] = [], defended: [(name: String, accuracy: Double, attackSuccess: Double)] = []
    private var cells: [CellIndex.Entry] = []
    /// What a check of the content found wrong.
    private(set) var fault: String?

    init(path: String, tree: [Node]) {
        self.path = path
        self.tree = tree
    }

    /// A section, where there is something to say.
    mutating func add(_ heading: String, _ facts: [(name: String, value: String)]) {
        if !facts.isEmpty { sections.append((heading, facts)) }
    }

    mutating func describe(_ summary: ResultSummary) {
        add("setting", summary.facts)
        add("tables", summary.tables)
        cells = summary.index.entries
    }

    mutating func describe(_ log: LogFile) {
        add("log", log.facts)
        add("options", log.options)
        describe(defended: log.defended)
        history = log.rows
    }

    mutating func describe(_ dataset: Dataset) {
        sections.append(
            (
                "data set",
                [
                    ("name", dataset.name), ("source", dataset.source), ("digest", dataset.digest),
                    ("classes", "\(dataset.train.classes)"), ("train", Self.line(dataset.train)), ("test", Self.line(dataset.test)),
                ]
                    + (dataset.train.clients.map { [("natural clients", "\(Set($0).count)")] } ?? [])
            ))
        addClasses([("train", dataset.train), ("test", dataset.test)], dataset.classNames)
    }

    mutating func describe(_ split: UnnamedSplit) {
        sections.append(
            (
                "images",
                [("source", split.source.isEmpty ? "not said" : split.source), ("digest", split.digest), ("images", Self.line(split.set))]
            ))
        addClasses([("images", split.set)], split.classNames)
    }

    /// The digest that a data set's file says, and that of what is in it.
    mutating func compare(_ stored: String, with computed: String) {
        guard stored != computed else { return }
        sections[0].facts.append(("digest of the content", computed))
        fault = "attribute digest of /: expected \(computed), got \(stored): images or labels were changed after the file was written"
    }

    mutating func describe(_ checkpoint: Checkpoint, _ provenance: [(String, String)]) {
        let network = checkpoint.network
        var facts = [
            ("input", "\(network.channels)x32x32"), ("classes", "\(network.classes)"),
            ("parameters", Numbers.grouped(network.parameterCount)),
            ("mean", checkpoint.normalization.mean.map { "\($0)" }.joined(separator: " ")),
            ("std", checkpoint.normalization.std.map { "\($0)" }.joined(separator: " ")),
        ]
        if network.head != .none { facts.insert(("head", "\(network.head)"), at: 2) }
        if checkpoint.heads.count > 1 {
            facts.append(("models of other heads", checkpoint.heads.dropFirst().map(\.description).joined(separator: " ")))
        }
        if let bounds = checkpoint.bounds {
            for layer in network.layers { facts.append(("bounds of \(layer.name)", Self.spread(bounds[layer]))) }
        } else {
            facts.append(("bounds", "none"))
        }
        sections.append(("model", facts))
        if let attack = checkpoint.attack {
            sections.append(
                (
                    "attack",
                    [
                        ("attack", attack.attack), ("trigger", attack.trigger ?? "mask and pattern"),
                        ("target", attack.allToAll ? "the next class (all to all)" : "\(attack.targets)"),
                    ]
                ))
        }
        if let configuration = checkpoint.configuration {
            sections.append(("configuration", configuration.readable.map { ($0.name, $0.value.isEmpty ? "none" : $0.value) }))
        }
        if !provenance.isEmpty { sections.append(("provenance", provenance)) }
        describe(defended: checkpoint.defended)
        if let name = checkpoint.configuration?.dataDefense, !checkpoint.dataAudit.isEmpty {
            sections.append(("\(name), of the FM data", checkpoint.dataAudit.map { ($0.name, $0.value) }))
        }
        if !checkpoint.audit.isEmpty { sections.append(("findings of the fit", checkpoint.audit.map { ($0.name, $0.value) })) }
        history = checkpoint.history
    }

    private mutating func describe(defended models: [(name: String, accuracy: Double, attackSuccess: Double)]) {
        defended = models
        add(
            Self.defendedHeading,
            defended.map { ($0.name, "ACC \(Numbers.fixed($0.accuracy, 4))  ASR \(Numbers.fixed($0.attackSuccess, 4))") })
    }

    private mutating func addClasses(_ sets: [(String, ImageSet)], _ names: [String]) {
        guard let classes = sets.first?.1.classes, classes <= 100 else { return }
        let counts = sets.map(\.1.classCounts)
        sections.append(
            (
                "images of each class (\(sets.map(\.0).joined(separator: ", ")))",
                (0..<classes).map { k in
                    ("\(k) \(k < names.count ? names[k] : "")", counts.map { "\($0[k])" }.joined(separator: ", "))
                }
            ))
    }

    private static func line(_ set: ImageSet) -> String {
        "\(Numbers.grouped(set.count)) images of \(set.channels)x\(set.height)x\(set.width)"
    }

    private static func spread(_ z: [Float]) -> String {
        let finite = z.filter(\.isFinite).sorted()
        guard let low = finite.first, let high = finite.last else { return "\(z.count), none finite" }
        let middle = Numbers.fixed(Double(finite[finite.count / 2]), 3)
        return "\(z.count): \(Numbers.fixed(Double(low), 3)) to \(Numbers.fixed(Double(high), 3)), median \(middle)"
            + (finite.count < z.count ? "; \(z.count - finite.count) unbounded" : "")
    }

    var text: String {
        var lines = ["\(path): \(kind)"]
        for (heading, facts) in sections {
            var table = TextTable([.left, .left])
            for (name, value) in facts { table.add([name, value]) }
            lines += ["", heading] + table.rendered(indent: 2)
        }
        if !history.isEmpty { lines += ["", "history"] + historyTable }
        if !cells.isEmpty { lines += ["", "cells, \(cells.filter(\.isFinished).count) of \(cells.count) finished"] + cellTable }
        guard !tree.isEmpty else { return lines.joined(separator: "\n") }
        var table = TextTable([.left, .left, .left])
        for node in tree {
            let shape = node.shape.map { $0.isEmpty ? "scalar" : $0.map { "\($0)" }.joined(separator: " x ") }
            table.add([node.path, shape ?? "", HDF5Error.oneLine(node.kind)])
        }
        return (lines + ["", "contents"] + table.rendered(indent: 2)).joined(separator: "\n")
    }

    /// Columns in which no row has a number are left out.
    private var historyTable: [String] {
        let columns: [(String, Int, (HistoryRow) -> Double)] = [
            ("loss", 4, { $0.loss }), ("ACC", 4, { $0.accuracy }), ("ASR", 4, { $0.attackSuccess }), ("robust", 4, { $0.robustAccuracy }),
            ("ACC bounded", 4, { $0.accuracyBounded }), ("ASR bounded", 4, { $0.attackSuccessBounded }), ("precision", 3, { $0.precision }),
            ("recall", 3, { $0.recall }), ("false positives", 3, { $0.falsePositiveRate }), ("seconds", 1, { $0.seconds }),
        ]
        let shown = columns.filter { column in history.contains { !column.2($0).isNaN } }
        var table = TextTable([.right])
        table.add(["round"] + shown.map(\.0))
        for row in history { table.add(["\(row.round)"] + shown.map { Numbers.fixed($0.2(row), $0.1) }) }
        return table.rendered(indent: 2)
    }

    private var cellTable: [String] {
        var table = TextTable([.left, .left, .left])
        for cell in cells {
            let defenses = cell.defenses.isEmpty ? "" : "; on its model: \(cell.defenses.map(OwnMethod.shown).joined(separator: " "))"
            table.add(["\(cell.key).h5", cell.progress, cell.title + defenses])
        }
        return table.rendered(indent: 2)
    }

    private var cellsJSON: JSON {
        .array(
            cells.map { cell in
                .object([
                    ("file", .text("\(cell.key).h5")), ("title", .text(cell.title)), ("finished", .flag(cell.isFinished)),
                    ("finished_rounds", .whole(max(0, cell.finishedRounds ?? 0))), ("seconds", .number(cell.seconds)),
                    ("options", .object(cell.options.map { ($0.name, .plain($0.value)) })),
                ])
            })
    }

    private static let defendedHeading = "defended models"

    private var defendedJSON: JSON {
        .object(
            defended.map {
                ($0.name, .object([("accuracy", .number($0.accuracy)), ("attack_success_rate", .number($0.attackSuccess))]))
            })
    }

    /// Facts that are names, also where a name is a number.
    private static let names: Set<String> = ["name", "source", "digest", "dataset", "synthetic", "dataset_digest", "synthetic_digest"]

    /// Facts of a step that are lists of clients, also where one or none is in it.
    private static let lists: Set<String> = ["clients", "missing", "rejected"]

    private static func value(of name: String, _ text: String, under heading: String) -> JSON {
        if heading == "step", lists.contains(name) {
            return .array(text.split(separator: " ").filter { $0 != "none" }.map { .fact(String($0)) })
        }
        return names.contains(name) ? .text(text) : .fact(text)
    }

    var json: JSON {
        var members: [(String, JSON)] = [("path", .text(path)), ("kind", .text(kind))]
        members += sections.filter { $0.heading != Self.defendedHeading }.map { section in
            (
                section.heading.split(separator: " (")[0].split(separator: " ").joined(separator: "_"),
                .object(section.facts.map { ($0.0, Self.value(of: $0.0, $0.1, under: section.heading)) })
            )
        }
        if !defended.isEmpty { members.append(("defended_models", defendedJSON)) }
        if !history.isEmpty {
            members.append(
                (
                    "history",
                    .array(
                        history.map { row in
                            .object([
                                ("round", .whole(row.round)), ("loss", .number(row.loss)), ("accuracy", .number(row.accuracy)),
                                ("attack_success_rate", .number(row.attackSuccess)), ("robust_accuracy", .number(row.robustAccuracy)),
                                ("accuracy_bounded", .number(row.accuracyBounded)),
                                ("attack_success_rate_bounded", .number(row.attackSuccessBounded)),
                                ("seconds", .number(row.seconds)),
                            ])
                        })
                ))
        }
        if !cells.isEmpty { members.append(("cells", cellsJSON)) }
        members.append(
            (
                "contents",
                .object(
                    tree.map { node in
                        let shape = node.shape.map { JSON.array($0.map { .whole($0) }) } ?? .null
                        return (node.path, .object([("shape", shape), ("type", .text(node.kind))]))
                    })
            ))
        return .object(members)
    }
}
