public enum RunError: Error, CustomStringConvertible {
    case incompatible(String)  // a file that does not fit the run
    case outputExists(String)
    case memory(needed: String, free: String)
    case diverged(round: Int, where: String)
    case interrupted(signal: Int32)

    public var description: String {
        switch self {
        case let .incompatible(text): text
        case let .outputExists(path): "\(path) exists already; use --resume to continue it or --overwrite to start again"
        case let .memory(needed, free):
            "not enough memory: \(needed), \(free); use fewer --threads, fewer participants a round, or a larger machine"
        case let .diverged(round, place): "the model is not finite any more after \(place) in round \(round); a smaller --lr may help"
        case let .interrupted(signal):
            "interrupted by signal \(signal); what is finished is saved: run --resume, or the same reproduce again, goes on from there"
        }
    }
}
