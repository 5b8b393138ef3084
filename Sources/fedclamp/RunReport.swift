import DefenseInterface
import Defenses
import Detection
import Experiments
import Federation
import Numerics
import OwnMethods

/// What a finished run found, for people and for scripts.
struct RunReport {
    private let run: FederatedRun, path: String
    private var final: HistoryRow { run.history.last ?? HistoryRow(round: 0) }

    init(_ run: FederatedRun, _ path: String) {
        self.run = run
        self.path = path
    }

    var text: String {
        let c = run.configuration
        var table = TextTable()
        table.add(["model", "ACC", c.attack == .none ? "floor" : "ASR", "robust ACC"])
        table.add(["undefended G"] + [final.accuracy, final.attackSuccess, final.robustAccuracy].map { Numbers.fixed($0, 4) })
        if run.bounds != nil, !run.defended.contains(where: { $0.name == "bounds" }) {
            table.add(
                ["bounded G"]
                    + [final.accuracyBounded, final.attackSuccessBounded, final.robustAccuracyBounded].map { Numbers.fixed($0, 4) })
        }
        for model in run.defended {
            let e = model.evaluation
            table.add([model.name] + [e.accuracy, e.attackSuccess, e.robustAccuracy].map { Numbers.fixed($0, 4) })
        }
        var lines = table.rendered()
        lines += Self.audit("\(c.dataDefense ?? ""), before the initialisation", run.state.dataAudit)
        for model in run.defended {
            lines += Self.audit(
                "\(model.name) (\(Numbers.duration(model.seconds)), \(Numbers.passes(model.passes)) image passes)", model.audit)
        }
        let what =
            c.attack == .none
            ? "no attack; floor: rate of triggered images (\(OwnMethod.shown(c.trigger))) that go to the target all the same"
            : "\(c.attack.rawValue) attack, \(OwnMethod.shown(c.trigger)) trigger"
        return
            (lines + [
                "", "\(what); \(Numbers.grouped(run.data.evaluation.count)) \(c.evaluateOn.rawValue) images; seed \(c.seed); \(c.isa)",
                "wrote \(path)",
            ]).joined(separator: "\n")
    }

    private static func audit(_ title: String, _ findings: [Finding]) -> [String] {
        guard !findings.isEmpty else { return [] }
        var table = TextTable([.left, .left])
        for finding in findings { table.add([finding.name, finding.value]) }
        return ["", "\(title):"] + table.rendered(indent: 2)
    }

    var json: JSON {
        let c = run.configuration, bounded = run.bounds != nil && !final.accuracyBounded.isNaN
        var members: [(String, JSON)] = [
            ("accuracy", .number(bounded ? final.accuracyBounded : final.accuracy)),
            ("attack_success_rate", .number(bounded ? final.attackSuccessBounded : final.attackSuccess)),
            ("robust_accuracy", .number(bounded ? final.robustAccuracyBounded : final.robustAccuracy)),
            ("images", .whole(run.data.evaluation.count)),
        ]
        if bounded {
            members += [("accuracy_unbounded", .number(final.accuracy)), ("attack_success_rate_unbounded", .number(final.attackSuccess))]
        }
        let defended = run.defended.map { model in
            (
                model.name,
                JSON.object([
                    ("accuracy", .number(model.evaluation.accuracy)), ("attack_success_rate", .number(model.evaluation.attackSuccess)),
                    ("robust_accuracy", .number(model.evaluation.robustAccuracy)), ("seconds", .number(model.seconds)),
                    ("passes", .number(model.passes)),
                    ("audit", .object(model.audit.map { ($0.name, .text($0.value)) })),
                ])
            )
        }
        if let name = c.dataDefense { members.append((name, .object(run.state.dataAudit.map { ($0.name, .text($0.value)) }))) }
        members += [
            ("rounds", .whole(final.round)), ("attack", .text(c.attack.rawValue)), ("trigger", .text(OwnMethod.shown(c.trigger))),
            ("target", c.target.classes.count == 1 ? .whole(c.target.first) : .array(c.target.classes.map { .whole($0) })),
            ("defended", .object(defended)), ("seed", .text("\(c.seed)")), ("instruction_set", .text(c.isa)), ("out", .text(path)),
        ]
        return .object(members)
    }
}
