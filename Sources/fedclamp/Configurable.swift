import ArgumentParser

/// A command whose options can come from a file.
protocol Configurable: ParsableCommand {
    /// Arguments that make a minimal command line valid.
    static var required: [String] { get }
}
