import Attacks
import Datasets
import Defenses
import Foundation
import Network
import Testing
@testable import Federation

/// A result that moves without its revision: `reproduce` would go on with old cells in silence. For every part of the list a small
/// training is
/// done, and the digest of what comes out is compared with the one that was noted for the part's revision.
@Suite struct RevisionTests {
    /// Lines "part revision digest", of the instruction set AVX2.
    private static let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appending(path: "Golden/revisions-avx2.txt")

    /// A user's own program is told apart by its digest, not by a revision.
    private static let builtIn = MaliciousBehaviors.settings.filter { $0.name != OwnUpdate.program.name }

    private static let parts: [String] = {
        let rules = AggregationRules.names.filter { $0 != "none" }.map { "rule \($0)" }
        return ["training"] + Triggers.names.map { "trigger \($0)" } + builtIn.map { "malicious \($0.name)" } + [
            "vouching", "distillation",
        ] + DataDefenses.names
            + rules + ModelDefenses.names.map { "defence \($0)" }
    }()

    private static func configuration(_ part: String) throws -> RunConfiguration {
        var c = RunConfiguration()
        (c.clients, c.malicious, c.rounds, c.batch, c.initialEpochs, c.isa) = (7, 1, 1, 8, 2, "avx2")
        (c.attack, c.syntheticLimit) = (.both, 60)
        let name = part.split(separator: " ").dropFirst().joined(separator: " ")
        if part.hasPrefix("trigger ") { c.trigger = name }
        if part.hasPrefix("rule ") { c.defenses = [name] }
        if part == "distillation" { c.defenses = [part] }
        if DataDefenses.names.contains(part) { (c.defenses, c.syntheticLimit) = ([part], 300) }
        if part == "vouching" { (c.defenses, c.rounds) = (["vouching"], 2) }
        if part.hasPrefix("malicious ") { try c.set(name, ["model-replacement": "auto", "trigger-adaptation": "12"][name] ?? "0.5") }
        // The white patch is as bright as a pattern can be.
        if name == "trigger-adaptation" { c.trigger = "blend" }
        if name == "lp-scale" { try c.set("lp-attack", "0.5") }
        if part.hasPrefix("defence ") { c.defenses = [name] }
        for (option, few) in [
            ("ft-sam-epochs", "3"), ("neural-cleanse-steps", "4"), ("neural-cleanse-index", "0"), ("abl-epochs", "3"),
            ("abl-unlearning-epochs", "2"),
        ]
        where part == "defence \(option.prefix(name.count))" { try c.set(option, few) }
        return c
    }

    /// Digests by part, as many at once as there are cores.
    private static func digests() async throws -> [String: String] {
        try await withThrowingTaskGroup(of: (String, String).self) { group in
            for part in parts { group.addTask { (part, try digest(part)) } }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
    }

    private static func digest(_ part: String) throws -> String {
        let c = try configuration(part)
        let data = try RunData(
            c, Toy.dataset(7 * 12), UnnamedSplit(set: Toy.set(c.syntheticLimit ?? 60, seed: 3), classNames: [], source: "toy"),
            syntheticName: "toy.h5")
        let run = try FederatedRun(c, data, threads: 1)
        try run.run()
        // What a defence on the FM data found moves before the images that it leaves out do.
        let found = DataDefenses.names.contains(part) ? run.state.dataAudit.map { "\($0.name) \($0.value)" } : []
        return digest(run.defended.first?.models[0] ?? BoundedModel(run.global), found)
    }

    private static func digest(_ model: BoundedModel, _ texts: [String]) -> String {
        var hash = SHA256()
        for text in texts { hash.update(Array(text.utf8)) }
        for values in [model.parameters.values, model.bounds.buffer.array] {
            hash.update(values.flatMap { withUnsafeBytes(of: $0) { Array($0) } })
        }
        return String(hash.hexadecimal().prefix(16))
    }

    private static func noted() -> [String: (revision: Int, digest: String)] {
        let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        return Dictionary(
            uniqueKeysWithValues: text.split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ").map(String.init)
                guard words.count >= 3, let revision = Int(words[words.count - 2]) else { return nil }
                return (words.dropLast(2).joined(separator: " "), (revision, words[words.count - 1]))
            })
    }

    /// With FEDCLAMP_NOTE_REVISIONS=1 the digests are written instead of compared, for the commit that raises a revision.
    @Test func resultsMoveWithTheirRevision() async throws {
        guard InstructionSet.available.contains(where: { $0.rawValue == "avx2" }) else { return print("skipped: this CPU has no AVX2") }
        let digests = try await Self.digests()
        let noted = Self.noted(), notes = ProcessInfo.processInfo.environment["FEDCLAMP_NOTE_REVISIONS"] != nil
        var lines: [String] = []
        for part in Self.parts {
            let revision = Revisions.changed[part] ?? 1, digest = try #require(digests[part])
            lines.append("\(part) \(revision) \(digest)")
            guard !notes else { continue }
            let known = noted[part]
            #expect(
                known?.digest == digest,
                """
                results of "\(part)" moved, and its revision is still \(revision): raise it in Revisions.changed, where nothing else explains it \
                ("training" for all), then note the digests with FEDCLAMP_NOTE_REVISIONS=1
                """)
            #expect(known?.revision == revision, "\"\(part)\" was noted at revision \(known?.revision ?? 0); note its digest anew")
        }
        if notes { try (lines.joined(separator: "\n") + "\n").write(to: Self.file, atomically: true, encoding: .utf8) }
    }

    @Test func revisionsAreText() throws {
        var c = RunConfiguration()
        (c.attack, c.trigger, c.defenses) = (.classic, "blend", ["vouching", "krum", "bounds"])
        try c.set("neurotoxin", "0.05")
        let mine = c.revisions
        #expect(mine.text == "malicious neurotoxin 1; rule krum 1; training 1; trigger blend 1; vouching 10")
        #expect(Revisions(text: mine.text) == mine && Revisions(text: "krum") == nil && Revisions(text: "rule krum -1") == nil)
        #expect(
            Revisions.ofDefense("bounds:logits").text == "defence bounds 1; detection 1"
                && Revisions.ofDefense("clp").text == "defence clp 1")
    }

    /// Only what depends on a part is stale when the part moves; a file of before revisions has all of them at 1.
    @Test func staleIsWhatDependsOnAPart() throws {
        var krum = RunConfiguration()
        krum.defenses = ["krum"]
        let moved = try #require(Revisions(text: krum.revisions.text.replacing("rule krum 1", with: "rule krum 2")))
        #expect(moved.stale(krum.revisions) == "rule krum was revision 1, is 2" && moved.stale(nil) == "rule krum was revision 1, is 2")
        #expect(RunConfiguration().revisions.stale(moved) == nil && krum.revisions.stale(nil) == nil)
    }
}
