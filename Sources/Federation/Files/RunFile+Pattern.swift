import HDF5
import Network

/// The pattern of a trigger that malicious clients adapt: float32 (channels, side, side), of the images' own size.
extension RunFile {
    static let statePattern = "/state/trigger_pattern", updatePattern = "/update/trigger_pattern"

    static func writePattern(_ pattern: [Float], _ path: String, _ network: ClampNet, _ file: HDF5File) throws {
        let side = Int(Double(pattern.count / network.channels).squareRoot())
        try file.write(path, pattern, shape: [network.channels, side, side])
    }

    /// Throws `RunError.incompatible` for one that is none of this run.
    static func readPattern(_ path: String, _ state: FederationState, _ file: HDF5File) throws -> [Float] {
        guard state.configuration.adaptation != nil else {
            throw RunError.incompatible("\(file.path), \(path): expected no adapted pattern in a run without --trigger-adaptation, got one")
        }
        let shape = try file.shape(of: path), channels = state.network.channels
        guard [[channels, 28, 28], [channels, 32, 32]].contains(shape) else {
            throw RunError.incompatible("\(file.path), \(path): expected shape \(channels) x 28 x 28 or 32 x 32, got \(shape)")
        }
        let pattern = try file.read(path, as: Float.self, shape: shape).values
        guard pattern.allSatisfy({ (0...1).contains($0) }) else {
            throw RunError.incompatible("\(file.path), \(path): expected values from 0 to 1, got others")
        }
        return pattern
    }
}
