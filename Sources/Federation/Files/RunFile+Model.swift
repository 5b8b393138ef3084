import Datasets
import DefenseInterface
import Defenses
import HDF5
import Network
import OwnMethods

/// Models, bounds and defended models in a checkpoint.
extension RunFile {
    static func writeModel(_ parameters: Parameters, _ group: String, _ normalization: Normalization?, _ file: HDF5File) throws {
        for tensor in parameters.network.tensors {
            let layer = tensor.name.split(separator: "/")[0]
            try file.createGroup("\(group)/\(layer)")
            try file.write("\(group)/\(tensor.name)", parameters.canonical(tensor), shape: tensor.shape)
        }
        guard let normalization else { return }
        try file.createGroup("\(group)/input")
        try file.write("\(group)/input/mean", normalization.mean, shape: [normalization.mean.count])
        try file.write("\(group)/input/std", normalization.std, shape: [normalization.std.count])
    }

    static func writeBounds(_ bounds: Bounds, _ group: String, _ file: HDF5File) throws {
        try file.createGroup(group)
        for layer in bounds.network.layers { try file.write("\(group)/\(layer.name)", bounds[layer], shape: [bounds.network.units(layer)]) }
    }

    /// Shapes must be those of `network`, numbers finite.
    static func readModel(_ file: HDF5File, _ group: String, _ network: ClampNet) throws -> Parameters {
        try requireHead(file, group, network)
        let parameters = Parameters(network)
        for tensor in network.tensors {
            parameters.setCanonical(tensor, try file.read("\(group)/\(tensor.name)", as: Float.self, shape: tensor.shape).values)
        }
        guard parameters.allFinite else {
            throw RunError.incompatible("\(file.path), \(group): expected finite parameters, got NaN or infinity")
        }
        return parameters
    }

    /// Channels and classes from the shapes of conv1 and fc2, the head from what there is of its layers.
    ///
    /// - Throws: `RunError.incompatible` for a network or a head that does not exist.
    public static func readNetwork(_ file: HDF5File) throws -> ClampNet {
        let first = try file.shape(of: "/model/conv1/weight"), last = try file.shape(of: "/model/fc2/weight")
        guard first.count == 4, first[1] == 1 || first[1] == 3, last.count == 2, ImageSet.classLimits.contains(last[0]) else {
            throw RunError.incompatible(
                "\(file.path): expected ClampNet with 1 or 3 input channels and 2 to 1000 classes, got conv1/weight \(first), fc2/weight \(last)"
            )
        }
        let network = ClampNet(channels: first[1], classes: last[0], head: try readHead(file, "/model"))
        try requireHeadShapes(file, "/model", network)
        return network
    }

    static func readBounds(_ file: HDF5File, _ group: String, _ network: ClampNet) throws -> Bounds {
        try requireHead(file, group, network)
        let bounds = Bounds(network)
        for layer in network.layers {
            let z = try file.read("\(group)/\(layer.name)", as: Float.self, shape: [network.units(layer)]).values
            guard z.allSatisfy({ $0 >= 0 }) else {
                throw RunError.incompatible(
                    "\(file.path), \(group)/\(layer.name): expected bounds from 0 up, got \(z.first { !($0 >= 0) } ?? 0)")
            }
            bounds[layer] = z
        }
        return bounds
    }

    static func readNormalization(_ file: HDF5File, channels: Int) throws -> Normalization {
        let mean = try file.read("/model/input/mean", as: Float.self, shape: [channels]).values
        let std = try file.read("/model/input/std", as: Float.self, shape: [channels]).values
        guard mean.allSatisfy(\.isFinite), std.allSatisfy({ $0 > 0 && $0.isFinite }) else {
            throw RunError.incompatible(
                "\(file.path), /model/input: expected finite means and deviations above 0, got mean \(mean), std \(std)")
        }
        return Normalization(mean: mean, std: std)
    }

    /// A defended model: what the defence changed (parameters, bounds), its results, and what it found out.
    static func writeDefended(_ model: DefendedModel, _ run: FederatedRun, _ file: HDF5File) throws {
        let group = "/defended/\(model.name)"
        try file.createGroup(group)
        if model.identity != model.name { try file.setAttribute("method", of: group, model.identity) }
        try file.setAttribute("order", of: group, run.defended.firstIndex { $0.name == model.name } ?? 0)
        try file.setAttribute("revisions", of: group, Revisions.ofDefense(model.name).text)
        for (index, (prototype, left)) in zip(run.state.prototypes, model.models).enumerated() {
            let place = index == 0 ? group : PrototypePlaces.group(prototype.head, under: group)
            if left.parameters !== prototype.global { try writeModel(left.parameters, place, nil, file) }
            if !left.bounds.isUnbounded { try writeBounds(left.bounds, "\(place)/bounds", file) }
        }
        let e = model.evaluation
        for (name, value) in [
            ("acc", e.accuracy), ("asr", e.attackSuccess), ("robust_accuracy", e.robustAccuracy), ("passes", model.passes),
            ("client_acc", e.clients?.accuracy ?? .nan), ("client_asr", e.clients?.attackSuccess ?? .nan),
        ] {
            try file.write("\(group)/\(name)", scalar: value)
        }
        try file.write("\(group)/images", [Int64(e.images), Int64(e.triggeredImages)], shape: [2])
        try file.createGroup("/timing")
        try file.write("/timing/defended_\(model.name)", scalar: model.seconds)
        try file.write("/timing/peak_bytes_\(model.name)", scalar: model.peakBytes)
        try file.write(model.audit, "\(group)/audit_")
    }

    /// Names in /defended. A file of strangers may hold any number of links to one large model.
    public static func defendedNames(_ file: HDF5File) throws -> [String] {
        let names = try file.children(of: "/defended")
        if let stranger = names.first(where: { !ModelDefenses.namesWithVariants.contains($0) && !OwnMethod.isDefenseLabel($0) }) {
            throw RunError.incompatible("\(file.path), /defended: there is no defence on the model named \"\(stranger)\" in this version")
        }
        let own = names.filter(OwnMethod.isDefenseLabel).count
        guard own <= mostOwnDefenses else {
            throw RunError.incompatible("\(file.path), /defended: expected at most \(mostOwnDefenses) of own defences, got \(own)")
        }
        return names
    }

    private static let mostOwnDefenses = 64

    /// The name in a configuration of the defence that left a model of /defended.
    public static func identity(_ file: HDF5File, _ name: String) throws -> String {
        try file.stringAttribute("method", of: "/defended/\(name)") ?? name
    }

    /// What a defence left: its parameters, else the undefended ones, and its bounds, if any.
    ///
    /// - Parameter head: nil for the first prototype.
    static func readDefended(_ file: HDF5File, _ name: String, _ head: Head? = nil, else undefended: Parameters) throws -> (
        parameters: Parameters, bounds: Bounds?
    ) {
        let group = head.map { PrototypePlaces.group($0, under: "/defended/\(name)") } ?? "/defended/\(name)"
        return (
            try file.exists("\(group)/conv1") ? try readModel(file, group, undefended.network) : undefended,
            try file.exists("\(group)/bounds") ? try readBounds(file, "\(group)/bounds", undefended.network) : nil
        )
    }

    static func readDefended(_ file: HDF5File, _ run: FederatedRun) throws -> [DefendedModel] {
        guard try file.exists("/defended") else { return [] }
        var found: [(order: Int, model: DefendedModel)] = []
        for name in try defendedNames(file) {
            let group = "/defended/\(name)", identity = try identity(file, name)
            // A user's own that was changed since, or is not asked for now.
            if OwnMethod.isDefenseLabel(name), !run.configuration.defenses.contains(identity) { continue }
            let models = try run.state.prototypes.enumerated().map { index, prototype in
                let (parameters, bounds) = try readDefended(file, name, index == 0 ? nil : prototype.head, else: prototype.global)
                return BoundedModel(parameters, bounds)
            }
            func number(_ key: String) throws -> Double { try file.read("\(group)/\(key)", as: Double.self, shape: []).values[0] }
            let images = try file.read("\(group)/images", as: Int64.self, shape: [2]).values.map { Int($0) }
            func ifThere(_ key: String) throws -> Double { try file.exists("\(group)/\(key)") ? try number(key) : .nan }
            var evaluation = Evaluation(
                accuracy: try number("acc"), attackSuccess: try number("asr"), robustAccuracy: try number("robust_accuracy"),
                images: images[0], triggeredImages: images[1])
            let clients = ClientRates(accuracy: try ifThere("client_acc"), attackSuccess: try ifThere("client_asr"))
            evaluation.clients = clients.accuracy.isNaN && clients.attackSuccess.isNaN ? nil : clients
            let seconds = try file.read("/timing/defended_\(name)", as: Double.self, shape: []).values[0]
            let peakName = "/timing/peak_bytes_\(name)",
                peak = try file.exists(peakName) ? try file.read(peakName, as: Double.self, shape: []).values[0] : .nan
            found.append(
                (
                    try file.intAttribute("order", of: group) ?? 0,
                    DefendedModel(
                        name: name, identity: identity, models: models, evaluation: evaluation, seconds: seconds,
                        passes: try number("passes"), peakBytes: peak, audit: try file.readFindings("\(group)/audit_"))
                ))
        }
        return found.sorted { $0.order < $1.order }.map(\.model)
    }
}

extension HDF5File {
    /// Findings as two lists of strings, PREFIXnames and PREFIXvalues; nothing where there are none.
    func write(_ findings: [Finding], _ prefix: String) throws {
        guard !findings.isEmpty else { return }
        try writeStrings("\(prefix)names", findings.map(\.name))
        try writeStrings("\(prefix)values", findings.map(\.value))
    }

    func readFindings(_ prefix: String) throws -> [Finding] {
        try exists("\(prefix)names")
            ? zip(try readStrings("\(prefix)names"), try readStrings("\(prefix)values")).map { Finding($0, $1) } : []
    }
}

extension HistoryRow {
    /// All numbers of the row by their names in /history and /timing, in that order.
    public var numbers: [(name: String, value: Double)] {
        (HistoryColumns.columns + HistoryColumns.timings).map { ($0.0, self[keyPath: $0.1]) }
    }

    /// A row with numbers by these names; those without one are NaN, others are not read.
    public init(round: Int, numbers: [String: Double]) {
        self.init(round: round)
        for (name, path) in HistoryColumns.columns + HistoryColumns.timings { self[keyPath: path] = numbers[name] ?? .nan }
    }
}

/// The history as one column a number, one row a round.
enum HistoryColumns {
    nonisolated(unsafe) fileprivate static let columns: [(String, WritableKeyPath<HistoryRow, Double>)] = [
        ("loss", \.loss), ("acc", \.accuracy), ("asr", \.attackSuccess), ("robust_accuracy", \.robustAccuracy),
        ("acc_bounded", \.accuracyBounded), ("asr_bounded", \.attackSuccessBounded), ("robust_accuracy_bounded", \.robustAccuracyBounded),
        ("client_acc", \.clientAccuracy), ("client_asr", \.clientAttackSuccess), ("precision", \.precision), ("recall", \.recall),
        ("false_positive_rate", \.falsePositiveRate),
    ]

    nonisolated(unsafe) fileprivate static let timings: [(String, WritableKeyPath<HistoryRow, Double>)] = [
        ("seconds", \.seconds), ("rule_seconds", \.ruleSeconds), ("peak_bytes", \.peakBytes),
    ]

    /// One row a round under /history; the same numbers after the initialisation, before any round, under /initial.
    /// Wall times go to /timing, outside every comparison.
    static func write(_ history: [HistoryRow], _ file: HDF5File) throws {
        for group in ["/history", "/initial", "/timing"] { try file.createGroup(group) }
        let rounds = history.filter { $0.round > 0 }
        try file.write("/history/round", rounds.map { Int64($0.round) }, shape: [rounds.count])
        for (name, path) in columns { try file.write("/history/\(name)", rounds.map { $0[keyPath: path] }, shape: [rounds.count]) }
        if let start = history.first(where: { $0.round == 0 }) {
            for (name, path) in columns { try file.write("/initial/\(name)", scalar: start[keyPath: path]) }
        }
        for (name, path) in timings { try file.write("/timing/\(name)", history.map { $0[keyPath: path] }, shape: [history.count]) }
    }

    /// The row of the initialisation first, if there is one.
    static func read(_ file: HDF5File) throws -> [HistoryRow] {
        guard try file.exists("/history/round") else { return [] }
        var rows = try file.read("/history/round", as: Int64.self, shape: [-1]).values.map { HistoryRow(round: Int($0)) }
        for (name, path) in columns where try file.exists("/history/\(name)") {
            let values = try file.read("/history/\(name)", as: Double.self, shape: [rows.count]).values
            for i in rows.indices { rows[i][keyPath: path] = values[i] }
        }
        if try file.exists("/initial/acc") {
            var start = HistoryRow(round: 0)
            for (name, path) in columns where try file.exists("/initial/\(name)") {
                start[keyPath: path] = try file.read("/initial/\(name)", as: Double.self, shape: []).values[0]
            }
            rows.insert(start, at: 0)
        }
        for (name, path) in timings where try file.exists("/timing/\(name)") {
            let values = try file.read("/timing/\(name)", as: Double.self, shape: [rows.count]).values
            for i in rows.indices { rows[i][keyPath: path] = values[i] }
        }
        return rows
    }
}
