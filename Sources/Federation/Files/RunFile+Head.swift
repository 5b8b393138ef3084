import HDF5
import Network

/// The head of a model in a checkpoint: groups head1, head2, head3 beside conv1 ... fc2, as many as the head has pairs.
extension RunFile {
    /// What `group` (a model or bounds) holds that is named as a head's layer, in the order of the names.
    private static func headNames(_ file: HDF5File, _ group: String) throws -> [String] {
        try file.children(of: group).filter { $0.hasPrefix("head") }
    }

    /// The first few of the names, for a message.
    private static func list(_ names: [String]) -> String {
        names.isEmpty ? "none" : names.prefix(5).joined(separator: ", ") + (names.count > 5 ? ", ... (\(names.count))" : "")
    }

    /// From the names of the layers and the first one's units; `requireHeadShapes` compares the rest with what follows.
    ///
    /// - Throws: `RunError.incompatible` for a head that does not exist.
    static func readHead(_ file: HDF5File, _ group: String) throws -> Head {
        let names = try headNames(file, group), layers = (1...Head.mostPairs).map { "head\($0)" }
        guard names == Array(layers.prefix(names.count)) else {
            throw RunError.incompatible(
                "\(file.path), \(group): expected a head of up to \(Head.mostPairs) layers, "
                    + "\(list(layers)), without a gap, got \(list(names))")
        }
        guard let first = names.first else { return .none }
        let path = "\(group)/\(first)/weight", shape = try file.shape(of: path)
        guard shape.count == 2 else {
            throw RunError.incompatible("\(file.path), \(path): expected shape (units, inputs), got \(text(shape))")
        }
        do throws(HeadError) {
            return try Head(pairs: names.count, width: shape[0])
        } catch {
            throw RunError.incompatible("\(file.path), \(path): shape \(text(shape)): \(error)")
        }
    }

    /// Compares the shapes of the head's layers and of fc2, which follow from the head, with the file's.
    ///
    /// - Throws: `RunError.incompatible` for the first that differs.
    static func requireHeadShapes(_ file: HDF5File, _ group: String, _ network: ClampNet) throws {
        for tensor in network.tensors[(2 * Layer.head1.rawValue)...] {
            let shape = try file.shape(of: "\(group)/\(tensor.name)")
            guard shape == tensor.shape else {
                throw RunError.incompatible(
                    "\(file.path), \(group)/\(tensor.name): expected shape \(text(tensor.shape)) "
                        + "for \(network), got \(text(shape))")
            }
        }
    }

    /// - Parameter group: another model of the file, or bounds. A layer too many would be passed over in silence.
    /// - Throws: `RunError.incompatible` where its head is not the network's.
    static func requireHead(_ file: HDF5File, _ group: String, _ network: ClampNet) throws {
        let names = try headNames(file, group), expected = network.layers[Layer.head1.rawValue...].map(\.name)
        guard names == expected else {
            throw RunError.incompatible(
                "\(file.path), \(group): the network has the head \(network.head), "
                    + "expected its layers \(list(expected)), got \(list(names))")
        }
    }

    /// "192 x 128".
    private static func text(_ shape: [Int]) -> String {
        shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: " x ")
    }
}
