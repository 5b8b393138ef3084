import Attacks
import Datasets
import HDF5
import Network
import Tensor

/// Writes and restores runs: the checkpoint schema, version 1. Layouts are canonical, as PyTorch has them.
public enum RunFile {
    public static let format = "fedclamp-checkpoint", version = 1

    /// Replaces `path` by the run's present state, in one step: a temporary file, synced, then renamed.
    public static func write(_ run: FederatedRun, to path: String) throws {
        try HDF5File.write(path) { file in
            try writeState(run.state, file)
            for model in run.defended { try writeDefended(model, run, file) }
            try writeAttack(run.configuration, run.state.backdoor(run.data.backdoor), run.data.synthetic, file)
            for (client, samples) in run.data.clients.enumerated() where samples.backdoor != nil {
                try writePositions(samples, "client_\(client)", file)
            }
        }
    }

    /// Takes up the state of a run that was written with the same configuration and data.
    ///
    /// - Throws: `RunError.incompatible` naming the first difference, `HDF5Error` for a broken file.
    public static func restore(_ run: FederatedRun, from path: String) throws {
        let file = try HDF5File.open(path)
        try requireFormat(file)
        let configuration = try readConfiguration(file)
        try requireSame(run, configuration, file)
        var state = FederationState(run.configuration, run.data.network, run.state.normalization, run.state.provenance)
        state.meanImages = run.state.meanImages
        try readState(&state, file)
        guard !state.boundsAreDue, try !file.exists("/aggregate") else {
            throw RunError.incompatible("\(path): was left within a round; \(state.boundsAreDue ? "step bound" : "step fuse") comes next")
        }
        guard state.distrusted.last ?? -1 < run.data.synthetic.count else {
            throw RunError.incompatible(
                "\(path), \(dataDefense(configuration) ?? "")/images: expected positions below \(run.data.synthetic.count), the number of FM images"
            )
        }
        try state.checkCarried(in: path)
        run.state = state
        run.defended = try readDefended(file, run)
        guard configuration.rounds < run.configuration.rounds else { return }
        if run.finishedRounds == configuration.rounds,
            let defense = try configuration.makeRoundDefenses().first(where: \.knowsTheLastRound)
        {
            throw RunError.incompatible(
                "\(path): \(defense.label) did its work after round \(configuration.rounds), the last; the run cannot get more rounds")
        }
        run.goOn()
    }

    static func header(_ file: HDF5File) throws {
        try file.setAttribute("format", format)
        try file.setAttribute("version", version)
        try file.setAttribute("program_version", programVersion)
    }

    static func requireFormat(_ file: HDF5File) throws {
        let found = try file.stringAttribute("format")
        guard found == format else {
            throw RunError.incompatible(
                "\(file.path): expected a checkpoint (attribute format = \(format)), got \(found.map { "\"\($0)\"" } ?? "none")")
        }
        let number = try file.intAttribute("version") ?? 0
        guard number == version else {
            throw RunError.incompatible("\(file.path): checkpoint version \(number), this program reads version \(version)")
        }
    }

    static func writeAttack(_ configuration: RunConfiguration, _ backdoor: Backdoor, _ synthetic: Samples, _ file: HDF5File) throws {
        try file.createGroup("/attack")
        try file.setAttribute("attack", of: "/attack", configuration.attack.rawValue)
        try file.setAttribute("trigger", of: "/attack", configuration.trigger)
        try file.setAttribute("all_to_all", of: "/attack", configuration.allToAll ? 1 : 0)
        try writeTargets(configuration.target, file)
        if backdoor.goals.count == 1, let overlay = backdoor.trigger.overlay {
            let side = synthetic.shape.side, channels = synthetic.shape.channels
            try file.write("/attack/mask", padded(overlay.mask, 1, side), shape: [1, 32, 32])
            try file.write("/attack/pattern", padded(overlay.pattern, channels, side), shape: [channels, 32, 32])
        }
        try writePositions(synthetic, "synthetic", file)
    }

    /// The first, and all where there are several.
    static func writeTargets(_ targets: Targets, _ file: HDF5File) throws {
        try file.write("/attack/target", scalar: Int64(targets.first))
        guard targets.classes.count > 1 else { return }
        try file.write("/attack/targets", targets.classes.map { Int64($0) }, shape: [targets.classes.count])
    }

    /// Indices of the poisoned images in their data set; of noise and cover images where there are any.
    private static func writePositions(_ samples: Samples, _ name: String, _ file: HDF5File) throws {
        for (role, word) in [(Role.poisoned, "poisoned"), (.noise, "noise"), (.cover, "cover")] {
            let indices = samples.positions(role).map { Int64(samples.indices[$0]) }
            if role == .poisoned || !indices.isEmpty { try file.write("/attack/\(word)_\(name)", indices, shape: [indices.count]) }
        }
    }

    /// (channels, side, side) in the middle of (channels, 32, 32).
    private static func padded(_ x: [Float], _ channels: Int, _ side: Int) -> [Float] {
        let pad = (32 - side) / 2
        var y = [Float](repeating: 0, count: channels * 1024)
        for i in x.indices {
            let c = i / (side * side), row = i / side % side, column = i % side
            y[(c * 32 + row + pad) * 32 + column + pad] = x[i]
        }
        return y
    }

    private static func requireSame(_ run: FederatedRun, _ stored: RunConfiguration, _ file: HDF5File) throws {
        if let difference = run.configuration.difference(from: stored) {
            throw RunError.incompatible(
                "\(file.path) was written with another configuration: \(difference); use the same options, or --overwrite")
        }
        for (name, mine, option) in [
            ("dataset_digest", run.data.datasetDigest, "--data"), ("synthetic_digest", run.data.syntheticDigest, "--synthetic"),
        ] {
            let theirs = try file.stringAttribute(name, of: "/provenance")
            guard theirs != mine, option != "--data" || theirs != Provenance.unknown else { continue }  // step init without --data
            throw RunError.incompatible(
                "\(file.path) was written with other data: \(name) was \(theirs ?? "none"), is \(mine); give the right file with \(option)")
        }
    }
}

extension RunData {
    /// The normalisation of every image of the run.
    public var clientsNormalization: Normalization { synthetic.normalization }
}
