import Datasets
import DefenseInterface
import Defenses
import Detection
import HDF5
import Network
import OwnMethods

/// What a run carries from round to round, in a checkpoint: the part that run files and the files of `step` share.
extension RunFile {
    static func writeState(_ state: FederationState, _ file: HDF5File) throws {
        try header(file)
        try HistoryColumns.write(state.history, file)
        try file.createGroup("/state")
        try write(state.prototypes[0], state.normalization, PrototypePlaces.first, file)
        try file.write("/state/finished_rounds", scalar: Int64(state.finishedRounds ?? state.configuration.allRounds.lowerBound - 2))
        if let images = state.meanImages { try file.write("/state/mean_client_images", scalar: Int64(images)) }
        if !state.excluded.isEmpty { try file.write(excluded, state.excluded.map { Int64($0) }, shape: [state.excluded.count]) }
        if state.boundsAreDue { try file.write("/state/bounds_are_due", scalar: Int64(1)) }
        for prototype in state.prototypes.dropFirst() { try write(prototype, nil, PrototypePlaces(prototype.head), file) }
        try writeDataDefense(state, file)
        if let pattern = state.pattern { try writePattern(pattern, statePattern, state.network, file) }
        if !state.notes.isEmpty { try file.writeStrings("/state/notes", state.notes) }
        try writeConfiguration(state.configuration, state.provenance, file)
    }

    /// Fills a state that has its configuration, data and network. Throws for what is not whole or not finite.
    static func readState(_ state: inout FederationState, _ file: HDF5File) throws {
        let revisions = try storedRevisions(file)
        if let newer = state.configuration.revisions.newer(revisions) {
            throw RunError.incompatible("\(file.path): was written by a newer fedclamp (\(newer)); go on with that one")
        }
        for index in state.prototypes.indices {
            try read(
                &state.prototypes[index], index == 0 ? .first : PrototypePlaces(state.prototypes[index].head), state.configuration, file)
        }
        state.history = try HistoryColumns.read(file)
        let finished = Int(try file.read("/state/finished_rounds", as: Int64.self, shape: []).values[0])
        let begun = state.configuration.allRounds.lowerBound - 1
        guard (begun - 1...state.configuration.rounds).contains(finished), state.history.count == max(0, finished + 1),
            state.history.enumerated().allSatisfy({ $0 == $1.round })
        else {
            throw RunError.incompatible(
                "\(file.path): the history has \(state.history.count) rows, the initialisation and rounds 1 to \(state.history.last?.round ?? 0), "
                    + "finished_rounds is \(finished) of \(state.configuration.rounds)")
        }
        state.finishedRounds = finished < begun ? nil : finished
        if try file.exists("/state/mean_client_images") {
            state.meanImages = Int(try file.read("/state/mean_client_images", as: Int64.self, shape: []).values[0])
        }
        state.boundsAreDue = try file.exists("/state/bounds_are_due")
        if try file.exists(excluded) {
            let clients = try file.read(excluded, as: Int64.self, shape: [-1]).values
            guard zip(clients, clients.dropFirst()).allSatisfy(<),
                clients.allSatisfy({ (0..<Int64(state.configuration.clients)).contains($0) }),
                clients.count <= state.configuration.malicious, state.configuration.vouches
            else {
                throw RunError.incompatible(
                    "\(file.path), \(excluded): expected ascending numbers of clients below \(state.configuration.clients), "
                        + "at most \(state.configuration.malicious) of a run that vouches")
            }
            state.excluded = clients.map { Int($0) }
        }
        try readDataDefense(&state, file)
        state.pattern = try file.exists(statePattern) ? try readPattern(statePattern, state, file) : nil
        state.notes = try file.exists("/state/notes") ? try file.readStrings("/state/notes") : []
        if let older = state.configuration.revisions.stale(revisions), !state.isFinished {
            let note = "begun by an older fedclamp: \(older); the rounds of both are in this file"
            if !state.notes.contains(note) { state.notes.append(note) }
        }
    }

    /// Nil in files of before revisions.
    private static func storedRevisions(_ file: HDF5File) throws -> Revisions? {
        guard try file.exists("/provenance"), let text = try file.stringAttribute("revisions", of: "/provenance") else { return nil }
        guard let found = Revisions(text: text) else {
            throw RunError.incompatible(
                "\(file.path), /provenance: expected revisions as in \"training 1; rule krum 2\", got \"\(text.prefix(100))\"")
        }
        return found
    }

    private static let excluded = "/state/excluded_clients"

    /// Where a file has what the defence on the FM data said; nil without one.
    static func dataDefense(_ configuration: RunConfiguration) -> String? { configuration.dataDefense.map { "/\($0)" } }

    /// What the defence on the FM data said, for example /vouching/images: positions among the FM images as the server holds them, and how
    /// it came to them.
    private static func writeDataDefense(_ state: FederationState, _ file: HDF5File) throws {
        guard let group = dataDefense(state.configuration), !state.dataAudit.isEmpty else { return }
        try file.createGroup(group)
        try file.write("\(group)/images", state.distrusted.map { Int64($0) }, shape: [state.distrusted.count])
        if !state.shown.isEmpty {
            try file.write("\(group)/shown", state.shown, shape: [state.distrusted.count, state.network.classes])
        }
        try file.write(state.dataAudit, "\(group)/")
    }

    private static func readDataDefense(_ state: inout FederationState, _ file: HDF5File) throws {
        guard let group = dataDefense(state.configuration), state.finishedRounds ?? -1 >= 0 else { return }
        let images = try file.read("\(group)/images", as: Int64.self, shape: [-1]).values
        guard zip(images, images.dropFirst()).allSatisfy(<), images.allSatisfy({ (0...Int64(Int32.max)).contains($0) }) else {
            throw RunError.incompatible("\(file.path), \(group)/images: expected ascending positions of FM images, from 0")
        }
        state.distrusted = images.map { Int($0) }
        try readShown(&state, file, "\(group)/shown")
        state.dataAudit = try file.readFindings("\(group)/")
    }

    /// What distrusted images show; in a file of before it was kept, nothing: they are not used.
    private static func readShown(_ state: inout FederationState, _ file: HDF5File, _ name: String) throws {
        guard try file.exists(name) else { return }
        let classes = state.network.classes
        let shown = try file.read(name, as: Float.self, shape: [state.distrusted.count, classes]).values
        for row in state.distrusted.indices {
            let values = shown[row * classes..<(row + 1) * classes], sum = values.reduce(0, +)
            guard values.allSatisfy({ $0 >= 0 }), sum == 0 || abs(sum - 1) < 1e-3 else {
                throw RunError.incompatible(
                    "\(file.path), \(name): expected rows of probabilities that sum to 1, or of zeros, got \(sum) in row \(row)")
            }
        }
        state.shown = shown
    }

    static func writeConfiguration(_ configuration: RunConfiguration, _ provenance: Provenance, _ file: HDF5File) throws {
        try file.createGroup("/config")
        let json = try configuration.json()
        try file.writeString("/config/json", json)
        try file.setAttribute("hash", of: "/config", hash(json))
        for (name, value) in configuration.readable { try file.setAttribute(name, of: "/config", value) }
        try file.createGroup("/provenance")
        try file.setAttribute("instruction_set", of: "/provenance", configuration.isa)
        try file.setAttribute("revisions", of: "/provenance", configuration.revisions.text)
        try file.setAttribute("dataset", of: "/provenance", provenance.dataset)
        try file.setAttribute("dataset_digest", of: "/provenance", provenance.datasetDigest)
        try file.setAttribute("synthetic", of: "/provenance", provenance.synthetic)
        try file.setAttribute("synthetic_digest", of: "/provenance", provenance.syntheticDigest)
        try file.setAttribute("seed", of: "/provenance", "\(configuration.seed)")
        let own = configuration.ownMethods
        guard !own.isEmpty else { return }
        try file.setAttribute(
            "own_methods", of: "/provenance", own.map { "\($0.text)\(OwnMethods.command($0).map { " \(Files.shown($0))" } ?? "")" })
        try file.setAttribute("own_methods_note", of: "/provenance", "the bits of this file depend on these programs and on what they load")
    }

    static func readConfiguration(_ file: HDF5File) throws -> RunConfiguration {
        try RunConfiguration.from(json: try file.readString("/config/json"), path: file.path)
    }

    static func readProvenance(_ file: HDF5File) throws -> Provenance {
        func text(_ name: String) throws -> String { try file.stringAttribute(name, of: "/provenance") ?? Provenance.unknown }
        return Provenance(
            dataset: try text("dataset"), datasetDigest: try text("dataset_digest"), synthetic: try text("synthetic"),
            syntheticDigest: try text("synthetic_digest"))
    }

    static func hash(_ json: String) -> String { SHA256.hexadecimal(of: Array(json.utf8)) }
}
