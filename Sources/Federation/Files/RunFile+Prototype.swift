import Datasets
import DefenseInterface
import Defenses
import HDF5
import Network
import OwnMethods

/// Where a prototype's parts stand in a checkpoint. The first, in most runs the only one, has the places that every reader knows;
/// the others have the same under /prototypes/HEAD.
struct PrototypePlaces {
    let model: String, bounds: String, initial: String, previous: String, ruleState: String, carried: String, own: String

    static let first = PrototypePlaces(model: "/model", bounds: "/bounds", initial: "/initial", state: "/state")

    init(_ head: Head) {
        let group = Self.group(head)
        self.init(model: "\(group)/model", bounds: "\(group)/bounds", initial: "\(group)/initial", state: "\(group)/state")
    }

    /// Of a model that a defence left: the same under /defended/NAME.
    static func group(_ head: Head, under parent: String = "") -> String { "\(parent)/prototypes/\(head)" }

    private init(model: String, bounds: String, initial: String, state: String) {
        (self.model, self.bounds, self.initial) = (model, bounds, initial)
        (previous, ruleState, carried, own) = ("\(state)/previous_model", "\(state)/memory", "\(state)/carried", "\(state)/own")
    }
}

/// A prototype in a checkpoint.
extension RunFile {
    static func write(_ prototype: Prototype, _ normalization: Normalization?, _ at: PrototypePlaces, _ file: HDF5File) throws {
        try writeModel(prototype.global, at.model, normalization, file)
        if let bounds = prototype.bounds { try writeBounds(bounds, at.bounds, file) }
        if let initial = prototype.initial { try writeModel(initial, at.initial, nil, file) }
        if let previous = prototype.previousGlobal { try writeModel(previous, at.previous, nil, file) }
        if !prototype.ruleState.isEmpty { try file.createGroup(at.ruleState) }
        for (name, values) in prototype.ruleState.sorted(by: { $0.key < $1.key }) {
            try file.write("\(at.ruleState)/\(name)", values, shape: [values.count])
        }
        if !prototype.carried.isEmpty { try file.createGroup(at.carried) }
        for (label, carried) in prototype.carried.sorted(by: { $0.key < $1.key }) {
            try file.createGroup("\(at.carried)/\(label)")
            for (name, values) in carried.values.sorted(by: { $0.key < $1.key }) {
                try file.write("\(at.carried)/\(label)/\(name)", values, shape: [values.count])
            }
        }
        for (name, own) in prototype.ownStates.sorted(by: { $0.key < $1.key }) { try file.write(own, group: "\(at.own)/\(name)") }
    }

    /// Bytes of all that own methods remember: 4 GiB.
    private static let mostOwnBytes = 4 << 30

    /// What own methods remember: of a rule, and of each malicious client.
    private static func readOwn(_ file: HDF5File, _ group: String, _ configuration: RunConfiguration) throws -> [String: OwnState] {
        let names = try file.children(of: group), most = configuration.clients + 1
        guard names.count <= most else {
            throw RunError.incompatible("\(file.path), \(group): expected at most \(most) entries, got \(names.count)")
        }
        var left = mostOwnBytes, all: [String: OwnState] = [:]
        for name in names {
            let own = try file.readState("\(group)/\(name)", limit: left)
            left -= own.values.reduce(0) { $0 + $1.bytes }
            all[name] = own
        }
        return all
    }

    /// Throws for what is not whole, not finite, or of another shape.
    static func read(_ prototype: inout Prototype, _ at: PrototypePlaces, _ configuration: RunConfiguration, _ file: HDF5File) throws {
        let network = prototype.network
        guard try file.exists(at.model) else {
            throw RunError.incompatible("\(file.path): expected a group \(at.model) for the clients with head \(prototype.head), got none")
        }
        prototype.global = try readModel(file, at.model, network)
        prototype.bounds = try file.exists(at.bounds) ? try readBounds(file, at.bounds, network) : nil
        prototype.initial = try file.exists("\(at.initial)/conv1") ? try readModel(file, at.initial, network) : nil
        prototype.previousGlobal = try file.exists(at.previous) ? try readModel(file, at.previous, network) : nil
        prototype.ruleState = try file.exists(at.ruleState) ? try readRuleState(file, at.ruleState, network, configuration) : [:]
        prototype.ownStates = try file.exists(at.own) ? try readOwn(file, at.own, configuration) : [:]
        prototype.carried = try file.exists(at.carried) ? try readCarried(file, at.carried) : [:]
    }

    /// What the rule remembers: at most one vector of the model's size for each client, finite.
    private static func readRuleState(_ file: HDF5File, _ group: String, _ network: ClampNet, _ configuration: RunConfiguration) throws
        -> [String: [Float]]
    {
        let names = try file.children(of: group), most = network.parameterCount
        guard names.count <= configuration.clients else {
            throw RunError.incompatible(
                "\(file.path), \(group): expected at most one entry for each of \(configuration.clients) clients, got \(names.count)")
        }
        var ruleState: [String: [Float]] = [:]
        for name in names {
            let values = try file.read("\(group)/\(name)", as: Float.self, shape: [-1], limit: most * 4).values
            guard values.allSatisfy(\.isFinite) else {
                throw RunError.incompatible("\(file.path), \(group)/\(name): expected finite numbers, got NaN or infinity")
            }
            ruleState[name] = values
        }
        return ruleState
    }

    /// What defences carry from round to round, LABEL/NAME, float64: vectors of at most a million numbers, for defences that exist.
    private static func readCarried(_ file: HDF5File, _ group: String) throws -> [String: CarriedState] {
        var all: [String: CarriedState] = [:]
        for label in try file.children(of: group) {
            guard ModelDefenses.make(label) is any RoundDefense else {
                throw RunError.incompatible("\(file.path), \(group): there is no defence named \"\(label)\" that works in every round")
            }
            var state = CarriedState()
            for name in try file.children(of: "\(group)/\(label)").prefix(100) {
                let values = try file.read("\(group)/\(label)/\(name)", as: Double.self, shape: [-1], limit: 8 << 20).values
                guard values.allSatisfy({ !$0.isNaN }) else {
                    throw RunError.incompatible("\(file.path), \(group)/\(label)/\(name): expected numbers, got NaN")
                }
                state[name] = values
            }
            all[label] = state
        }
        return all
    }
}
