import Datasets
import DefenseInterface
import Defenses
import Detection
import HDF5
import Network

/// What a run carries from round to round, in a checkpoint: the part that run files and the files of `step` share.
extension RunFile {
    static func writeState(_ state: FederationState, _ file: HDF5File) throws {
        try header(file)
        try writeModel(state.global, "/model", state.normalization, file)
        if let bounds = state.bounds { try writeBounds(bounds, "/bounds", file) }
        try HistoryColumns.write(state.history, file)
        try file.createGroup("/state")
        try file.write("/state/finished_rounds", scalar: Int64(state.finishedRounds ?? -1))
        if let images = state.meanImages { try file.write("/state/mean_client_images", scalar: Int64(images)) }
        if state.boundsAreDue { try file.write("/state/bounds_are_due", scalar: Int64(1)) }
        if let initial = state.initial { try writeModel(initial, "/initial", nil, file) }
        if let previous = state.previousGlobal { try writeModel(previous, "/state/previous_model", nil, file) }
        try writeScreen(state, file)
        if !state.vouchingAudit.isEmpty {
            try file.createGroup("/vouching")
            try file.write(state.vouchingAudit, "/vouching/")
        }
        if !state.memory.isEmpty { try file.createGroup("/state/memory") }
        for (name, values) in state.memory.sorted(by: { $0.key < $1.key }) {
            try file.write("/state/memory/\(name)", values, shape: [values.count])
        }
        try writeCarried(state, file)
        if !state.notes.isEmpty { try file.writeStrings("/state/notes", state.notes) }
        try writeConfiguration(state.configuration, state.provenance, file)
    }

    /// Fills a state that has its configuration, data and network. Throws for what is not whole or not finite.
    static func readState(_ state: inout FederationState, _ file: HDF5File) throws {
        state.global = try readModel(file, "/model", state.network)
        state.bounds = try file.exists("/bounds") ? try readBounds(file, "/bounds", state.network) : nil
        state.history = try HistoryColumns.read(file)
        let finished = Int(try file.read("/state/finished_rounds", as: Int64.self, shape: []).values[0])
        guard (-1...state.configuration.rounds).contains(finished), state.history.count == finished + 1,
              state.history.enumerated().allSatisfy({ $0 == $1.round }) else {
            throw RunError.incompatible("\(file.path): the history has \(state.history.count) rows, the initialisation and rounds 1 to \(state.history.last?.round ?? 0), "
                + "finished_rounds is \(finished) of \(state.configuration.rounds)")
        }
        state.finishedRounds = finished < 0 ? nil : finished
        if try file.exists("/state/mean_client_images") {
            state.meanImages = Int(try file.read("/state/mean_client_images", as: Int64.self, shape: []).values[0])
        }
        state.boundsAreDue = try file.exists("/state/bounds_are_due")
        state.initial = try file.exists("/initial/conv1") ? try readModel(file, "/initial", state.network) : nil
        try readScreen(&state, file)
        state.previousGlobal = try file.exists("/state/previous_model") ? try readModel(file, "/state/previous_model", state.network) : nil
        state.memory = try file.exists("/state/memory") ? try readMemory(file, state) : [:]
        state.carried = try file.exists("/state/carried") ? try readCarried(file) : [:]
        state.vouchingAudit = try file.readFindings("/vouching/")
        if let accused = state.carried[Vouching.name]?["accused"] {
            guard zip(accused, accused.dropFirst()).allSatisfy(<),
                  accused.allSatisfy({ Int(exactly: $0).map { (0..<state.network.classes).contains($0) } ?? false }) else {
                throw RunError.incompatible("\(file.path), /state/carried/\(Vouching.name)/accused: expected classes, ascending, "
                    + "below \(state.network.classes)")
            }
        }
        state.notes = try file.exists("/state/notes") ? try file.readStrings("/state/notes") : []
    }

    /// What `screen` said: /screen/images, positions among the FM images as the server holds them, and how it came to them.
    private static func writeScreen(_ state: FederationState, _ file: HDF5File) throws {
        guard state.configuration.screensSynthetic, state.finishedRounds != nil else { return }
        try file.createGroup("/screen")
        try file.write("/screen/images", state.distrusted.map { Int64($0) }, shape: [state.distrusted.count])
        try file.write(state.screenAudit, "/screen/")
    }

    private static func readScreen(_ state: inout FederationState, _ file: HDF5File) throws {
        guard state.configuration.screensSynthetic, state.finishedRounds != nil else { return }
        let images = try file.read("/screen/images", as: Int64.self, shape: [-1]).values
        guard zip(images, images.dropFirst()).allSatisfy(<), images.allSatisfy({ (0...Int64(Int32.max)).contains($0) }) else {
            throw RunError.incompatible("\(file.path), /screen/images: expected ascending positions of FM images, from 0")
        }
        state.distrusted = images.map { Int($0) }
        state.screenAudit = try file.readFindings("/screen/")
    }

    /// What the rule remembers: at most one vector of the model's size for each client, finite.
    private static func readMemory(_ file: HDF5File, _ state: FederationState) throws -> [String: [Float]] {
        let names = try file.children(of: "/state/memory"), most = state.network.parameterCount
        guard names.count <= state.configuration.clients else {
            throw RunError.incompatible("\(file.path), /state/memory: expected at most one entry for each of \(state.configuration.clients) clients, got \(names.count)")
        }
        var memory: [String: [Float]] = [:]
        for name in names {
            let values = try file.read("/state/memory/\(name)", as: Float.self, shape: [-1], limit: most * 4).values
            guard values.allSatisfy(\.isFinite) else { throw RunError.incompatible("\(file.path), /state/memory/\(name): expected finite numbers, got NaN or infinity") }
            memory[name] = values
        }
        return memory
    }

    /// What defences carry from round to round: /state/carried/LABEL/NAME, float64.
    private static func writeCarried(_ state: FederationState, _ file: HDF5File) throws {
        if !state.carried.isEmpty { try file.createGroup("/state/carried") }
        for (label, carried) in state.carried.sorted(by: { $0.key < $1.key }) {
            try file.createGroup("/state/carried/\(label)")
            for (name, values) in carried.values.sorted(by: { $0.key < $1.key }) {
                try file.write("/state/carried/\(label)/\(name)", values, shape: [values.count])
            }
        }
    }

    /// Vectors of at most a million numbers, for defences that exist.
    private static func readCarried(_ file: HDF5File) throws -> [String: CarriedState] {
        var all: [String: CarriedState] = [:]
        for label in try file.children(of: "/state/carried") {
            guard label == Vouching.name || ModelDefenses.make(label) is any RoundDefense else {
                throw RunError.incompatible("\(file.path), /state/carried: there is no defence named \"\(label)\" that works in every round")
            }
            var state = CarriedState()
            for name in try file.children(of: "/state/carried/\(label)").prefix(100) {
                let values = try file.read("/state/carried/\(label)/\(name)", as: Double.self, shape: [-1], limit: 8 << 20).values
                guard values.allSatisfy({ !$0.isNaN }) else {
                    throw RunError.incompatible("\(file.path), /state/carried/\(label)/\(name): expected numbers, got NaN")
                }
                state[name] = values
            }
            all[label] = state
        }
        return all
    }

    static func writeConfiguration(_ configuration: RunConfiguration, _ provenance: Provenance, _ file: HDF5File) throws {
        try file.createGroup("/config")
        let json = try configuration.json()
        try file.writeString("/config/json", json)
        try file.setAttribute("hash", of: "/config", hash(json))
        for (name, value) in configuration.readable { try file.setAttribute(name, of: "/config", value) }
        try file.createGroup("/provenance")
        try file.setAttribute("instruction_set", of: "/provenance", configuration.isa)
        try file.setAttribute("dataset", of: "/provenance", provenance.dataset)
        try file.setAttribute("dataset_digest", of: "/provenance", provenance.datasetDigest)
        try file.setAttribute("synthetic", of: "/provenance", provenance.synthetic)
        try file.setAttribute("synthetic_digest", of: "/provenance", provenance.syntheticDigest)
        try file.setAttribute("seed", of: "/provenance", "\(configuration.seed)")
    }

    static func readConfiguration(_ file: HDF5File) throws -> RunConfiguration {
        try RunConfiguration.from(json: try file.readString("/config/json"), path: file.path)
    }

    static func readProvenance(_ file: HDF5File) throws -> Provenance {
        func text(_ name: String) throws -> String { try file.stringAttribute(name, of: "/provenance") ?? Provenance.unknown }
        return Provenance(dataset: try text("dataset"), datasetDigest: try text("dataset_digest"), synthetic: try text("synthetic"),
                          syntheticDigest: try text("synthetic_digest"))
    }

    static func hash(_ json: String) -> String { SHA256.hexadecimal(of: Array(json.utf8)) }
}
