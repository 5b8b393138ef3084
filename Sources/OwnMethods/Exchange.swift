import Glibc
import HDF5

/// How own programs and we exchange questions and answers.
enum Exchange {
    /// Where the arrays are: made when it is needed, for this user only, and removed at the end.
    nonisolated(unsafe) static var folder = "."
    nonisolated(unsafe) static var isFolderMade = false
    /// Seconds that an answer may take.
    nonisolated(unsafe) static var seconds = 600.0
    /// A descriptor that gets what programs write to their standard errors.
    nonisolated(unsafe) static var log: Int32?

    static func makeFolder() throws {
        guard !isFolderMade else { return }
        guard Files.withBytes(folder, { mkdir($0, 0o700) }) == 0 else {
            throw HDF5Error.system(path: folder, operation: "make the folder for arrays of own methods", code: errno)
        }
        folder = Files.resolved(folder)  // absolute, for programs that change their working directory
        isFolderMade = true
    }
}
