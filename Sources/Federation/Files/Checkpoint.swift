import Attacks
import Datasets
import DefenseInterface
import Defenses
import HDF5
import Network
import Options
import OwnMethods

/// A checkpoint as `bound`, `evaluate` and `inspect` see it. Only the model is required; a file converted from PyTorch
/// has nothing else.
public struct Checkpoint: Sendable {
    public struct AttackRecord: Sendable {
        public var attack: String, trigger: String?, targets: Targets, allToAll: Bool
        /// (32, 32) and (channels, 32, 32), where the file has them.
        public var mask: [Float]?, pattern: [Float]?
    }

    public var path: String
    public var network: ClampNet
    /// Of the models that the file has: one where all clients have one shape.
    public var heads: [Head]
    public var parameters: Parameters
    public var bounds: Bounds?
    /// The model before the first round, where the file has it.
    public var initial: Parameters?
    public var normalization: Normalization
    public var configuration: RunConfiguration?
    public var history: [HistoryRow]
    public var attack: AttackRecord?
    /// Name, accuracy, attack success rate of every defended model.
    public var defended: [(name: String, accuracy: Double, attackSuccess: Double)]
    public var audit: [Finding]
    /// What a defence on the FM data said of them.
    public var dataAudit: [Finding]
    public var seed: UInt64 { configuration?.seed ?? 1 }

    /// - Parameters:
    ///   - name: a defence; the parameters and bounds are then those that it left, of `/defended/NAME`.
    ///   - head: which prototype's model, where clients have several shapes; nil for the first.
    /// - Throws: `HDF5Error`, `RunError.incompatible` for what is not a whole and finite ClampNet.
    public init(reading path: String, defendedBy name: String? = nil, head: Head? = nil) throws {
        let file = try HDF5File.open(path)
        guard try file.exists("/model") else {
            throw RunError.incompatible(
                "\(path): expected a checkpoint with a group /model, got \(try file.children().joined(separator: " "))")
        }
        self.path = path
        let first = try RunFile.readNetwork(file), others = try Self.otherHeads(file)
        heads = [first.head] + others
        let chosen = head ?? first.head
        guard heads.contains(chosen) else {
            throw RunError.incompatible(
                "\(path): no model with head \(chosen); there are: \(heads.map(\.description).joined(separator: ", "))")
        }
        let isFirst = chosen == first.head, at = isFirst ? .first : PrototypePlaces(chosen)
        network = ClampNet(channels: first.channels, classes: first.classes, head: chosen)
        parameters = try RunFile.readModel(file, at.model, network)
        bounds = try file.exists(at.bounds) ? try RunFile.readBounds(file, at.bounds, network) : nil
        initial = try file.exists("\(at.initial)/conv1") ? try RunFile.readModel(file, at.initial, network) : nil
        normalization = try RunFile.readNormalization(file, channels: network.channels)
        configuration =
            try file.exists("/config/json") ? try RunConfiguration.from(json: try file.readString("/config/json"), path: path) : nil
        history = try HistoryColumns.read(file)
        attack = try Self.readAttack(file)
        defended = []
        if try file.exists("/defended") {
            for name in try RunFile.defendedNames(file) {
                defended.append(
                    (
                        name, try file.read("/defended/\(name)/acc", as: Double.self, shape: []).values[0],
                        try file.read("/defended/\(name)/asr", as: Double.self, shape: []).values[0]
                    ))
            }
        }
        if let name, name == Recommended.name {
            guard let made = configuration?.defenses, Recommended.parts.allSatisfy(made.contains) else {
                throw RunError.incompatible(
                    "\(path): expected a run with --defense \(name) (\(Recommended.parts.joined(separator: ", "))), "
                        + "got \(configuration.map { $0.defenses.isEmpty ? "none" : $0.defenses.joined(separator: ", ") } ?? "a model alone")"
                )
            }
        }
        if let name = name == Recommended.name ? Recommended.last : name {
            guard defended.contains(where: { $0.name == name }) else {
                let names = defended.isEmpty ? "none" : defended.map(\.name).joined(separator: ", ")
                throw RunError.incompatible("\(path): no model that \(name) defended; there are: \(names)")
            }
            (parameters, bounds) = try RunFile.readDefended(file, name, isFirst ? nil : chosen, else: parameters)
        }
        audit = try file.readFindings("/audit/")
        dataAudit = try configuration.flatMap(RunFile.dataDefense).map { try file.readFindings("\($0)/") } ?? []
    }

    /// Heads of the prototypes besides the first, as their groups are named.
    private static func otherHeads(_ file: HDF5File) throws -> [Head] {
        guard try file.exists("/prototypes") else { return [] }
        let names = try file.children(of: "/prototypes")
        return try names.prefix(Head.all.count).map { name in
            do throws(HeadError) { return try Head(name) } catch { throw RunError.incompatible("\(file.path), /prototypes: \(error)") }
        }
    }

    private static func readAttack(_ file: HDF5File) throws -> AttackRecord? {
        guard try file.exists("/attack/target") else { return nil }
        return AttackRecord(
            attack: try file.stringAttribute("attack", of: "/attack") ?? "none",
            trigger: try file.stringAttribute("trigger", of: "/attack"),
            targets: try readTargets(file),
            allToAll: try file.intAttribute("all_to_all", of: "/attack") == 1,
            mask: try file.exists("/attack/mask") ? try file.read("/attack/mask", as: Float.self, shape: [1, 32, 32]).values : nil,
            pattern: try file.exists("/attack/pattern")
                ? try file.read("/attack/pattern", as: Float.self, shape: [-1, 32, 32]).values : nil)
    }

    private static func readTargets(_ file: HDF5File) throws -> Targets {
        guard try file.exists("/attack/targets") else {
            return Targets(Int(try file.read("/attack/target", as: Int64.self, shape: []).values[0]))
        }
        let classes = try file.read("/attack/targets", as: Int64.self, shape: [-1]).values.map { Int($0) }
        guard let targets = Targets(classes: classes) else {
            throw RunError.incompatible("\(file.path), /attack/targets: expected different classes, got \(classes.prefix(10))")
        }
        return targets
    }

    /// The backdoor that the file records, for images of `shape`: by the trigger's name, else by its mask and pattern;
    /// nil without a record.
    public func backdoor(_ shape: ImageShape) throws -> Backdoor? {
        guard let attack else { return nil }
        try attack.targets.check(classes: network.classes)
        if configuration?.adaptation != nil, let adapted = stored(attack, shape) { return adapted }
        if let name = attack.trigger {
            if let own = OwnMethod(name), !own.isProgram, OwnMethods.picture(own) == nil { return stored(attack, shape) }
            guard Triggers.isKnown(name) else {
                throw RunError.incompatible(
                    "\(path), attribute trigger of /attack: expected one of \(Triggers.choices.joined(separator: ", ")), got \"\(name)\"")
            }
            let trigger = try Triggers.make(name, shape: shape, seed: seed, configuration?.values ?? Settings())
            return attack.allToAll
                ? Backdoor(trigger: trigger, relabeling: .next) : try Backdoor(trigger, named: name, leadingTo: attack.targets)
        }
        return stored(attack, shape)
    }

    /// By the mask and the pattern that the file has; nil where it has none.
    private func stored(_ attack: AttackRecord, _ shape: ImageShape) -> Backdoor? {
        guard let mask = attack.mask, let pattern = attack.pattern, pattern.count == shape.channels * 1024 else { return nil }
        return Backdoor(
            trigger: OverlayTrigger(shape: shape, mask: mask, pattern: pattern),
            relabeling: attack.allToAll ? .next : .target(attack.targets.first))
    }

    /// Writes this checkpoint's model with `bounds`, the attack and configuration it came with, and the fit's findings.
    public func write(bounds: Bounds, audit: [Finding], to path: String) throws {
        try HDF5File.write(path) { file in
            try RunFile.header(file)
            try RunFile.writeModel(parameters, "/model", normalization, file)
            try RunFile.writeBounds(bounds, "/bounds", file)
            if let attack {
                try file.createGroup("/attack")
                try file.setAttribute("attack", of: "/attack", attack.attack)
                if let trigger = attack.trigger { try file.setAttribute("trigger", of: "/attack", trigger) }
                try file.setAttribute("all_to_all", of: "/attack", attack.allToAll ? 1 : 0)
                try RunFile.writeTargets(attack.targets, file)
                if let mask = attack.mask { try file.write("/attack/mask", mask, shape: [1, 32, 32]) }
                if let pattern = attack.pattern { try file.write("/attack/pattern", pattern, shape: [pattern.count / 1024, 32, 32]) }
            }
            if let configuration {
                try file.createGroup("/config")
                try file.writeString("/config/json", try configuration.json())
            }
            guard !audit.isEmpty else { return }
            try file.createGroup("/audit")
            try file.write(audit, "/audit/")
        }
    }
}
