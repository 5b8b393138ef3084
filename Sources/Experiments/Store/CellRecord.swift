import DefenseInterface
import Defenses
import Federation
import HDF5
import OwnMethods

/// The results in a training's run file, without its models.
struct CellRecord: Sendable {
    struct Rates: Sendable {
        var accuracy: Double, attackSuccess: Double, robustAccuracy: Double
        /// Of the clients' own models; NaN where they were not measured.
        var clientAccuracy = Double.nan, clientAttackSuccess = Double.nan

        /// Throws `RunError.incompatible` for what is no share; NaN stands for what was not measured.
        func checked(_ path: String) throws -> Rates {
            for rate in [accuracy, attackSuccess, robustAccuracy, clientAccuracy, clientAttackSuccess]
            where !rate.isNaN && !(0...1).contains(rate) {
                throw RunError.incompatible("\(path): expected rates from 0 to 1, got \(rate)")
            }
            return self
        }
    }

    var finishedRounds: Int
    var final: Rates
    var defended: [String: Rates] = [:]
    var configuration: RunConfiguration
    /// Defences on the model that the run was begun with, done or not.
    var defenses: [String]
    var instructionSet: String, programVersion: String
    /// Of the training, and of each defence on the model; nil in files of before revisions.
    var revisions: Revisions?, defendedRevisions: [String: Revisions] = [:]
    /// Wall time of the training.
    var seconds: Double
    /// FM images that a defence on the FM data left out; NaN without such a defence.
    var leftOut = Double.nan
    var curve: Curve, cost: CostRecord

    /// Whether a training with these defences on the model may go on from here: those that work in every round were there from the first.
    func allows(_ wanted: [String]) -> Bool {
        wanted.allSatisfy { defenses.contains($0) || !(ModelDefenses.make($0) is any RoundDefense) }
    }

    private static func revisions(_ file: HDF5File, _ object: String) throws -> Revisions? {
        guard let text = try file.stringAttribute("revisions", of: object) else { return nil }
        guard let found = Revisions(text: text) else {
            throw RunError.incompatible(
                "\(file.path), \(object): expected revisions as in \"training 1; rule krum 2\", got \"\(text.prefix(100))\"")
        }
        return found
    }

    /// Why the training is stale; nil where it is not.
    func stale(_ training: Training) -> String? {
        if let why = training.configuration.revisions.stale(revisions) { return why }
        let carried = training.defenses.filter { defended[$0] != nil && ModelDefenses.make($0) is any RoundDefense }
        return carried.lazy.compactMap { Revisions.ofDefense($0).stale(self.defendedRevisions[$0]) }.first
    }

    /// Defences on the model, of those that the training asks for, that are stale, and why.
    func staleDefenses(_ training: Training) -> [(name: String, why: String)] {
        training.defenses.compactMap { name in
            guard defended[name] != nil, let why = Revisions.ofDefense(name).stale(defendedRevisions[name]) else { return nil }
            return (name, why)
        }
    }

    /// Defences on the model that it was begun with besides `wanted`. Of a user's own, those that are done and have no other version there.
    func kept(beside wanted: [String]) -> [String] {
        let labels = wanted.compactMap { OwnMethod($0)?.label }
        return defenses.filter { name in
            guard !wanted.contains(name), let own = OwnMethod(name) else { return !wanted.contains(name) }
            return defended[name] != nil && !labels.contains(own.label)
        }
    }

    /// Throws `HDF5Error` for a file that is no run file.
    init(_ path: String) throws {
        let file = try HDF5File.open(path)
        finishedRounds = Int(try file.read("/state/finished_rounds", as: Int64.self, shape: []).values[0])
        func last(_ name: String) throws -> Double { try file.read(name, as: Double.self, shape: [-1]).values.last ?? .nan }
        func ifThere(_ name: String) throws -> Double {
            try file.exists(name) ? try file.read(name, as: Double.self).values.last ?? .nan : .nan
        }
        final = try Rates(
            accuracy: try last("/history/acc"), attackSuccess: try last("/history/asr"),
            robustAccuracy: try last("/history/robust_accuracy"),
            clientAccuracy: try ifThere("/history/client_acc"), clientAttackSuccess: try ifThere("/history/client_asr")
        ).checked(path)
        seconds = try last("/timing/seconds")
        func over(_ name: String) throws -> [Double] {
            let start = try file.exists("/initial/\(name)") ? try file.read("/initial/\(name)", as: Double.self, shape: []).values[0] : .nan
            return [start] + (try file.read("/history/\(name)", as: Double.self, shape: [-1]).values)
        }
        let accuracy = try over("acc"), attackSuccess = try over("asr")
        guard accuracy.count == attackSuccess.count else {
            throw RunError.incompatible("\(path): /history/acc has \(accuracy.count - 1) rows, /history/asr \(attackSuccess.count - 1)")
        }
        for rate in accuracy + attackSuccess where !rate.isNaN && !(0...1).contains(rate) {
            throw RunError.incompatible("\(path), /history: expected rates from 0 to 1, got \(rate)")
        }
        configuration = try RunConfiguration.from(json: try file.readString("/config/json"), path: path)
        if let name = configuration.dataDefense, finishedRounds >= 0 {
            leftOut = Double(try file.read("/\(name)/images", as: Int64.self, shape: [-1]).values.count)
        }
        defenses = configuration.defenses.filter { ModelDefenses.namesWithVariants.contains($0) || OwnMethod($0)?.kind == .modelDefense }
        curve = Curve(rounds: Array(accuracy.indices), accuracy: accuracy, attackSuccess: attackSuccess)
        cost = try CostRecord(file)
        instructionSet = try file.stringAttribute("instruction_set", of: "/provenance") ?? "unknown"
        programVersion = try file.stringAttribute("program_version") ?? "unknown"
        revisions = try Self.revisions(file, "/provenance")
        guard try file.exists("/defended") else { return }
        for name in try RunFile.defendedNames(file) {
            func rate(_ key: String) throws -> Double { try file.read("/defended/\(name)/\(key)", as: Double.self, shape: []).values[0] }
            let identity = try RunFile.identity(file, name)
            defendedRevisions[identity] = try Self.revisions(file, "/defended/\(name)")
            defended[identity] = try Rates(
                accuracy: try rate("acc"), attackSuccess: try rate("asr"), robustAccuracy: try rate("robust_accuracy"),
                clientAccuracy: try ifThere("/defended/\(name)/client_acc"),
                clientAttackSuccess: try ifThere("/defended/\(name)/client_asr")
            ).checked(path)
        }
    }
}
