import Federation
import Glibc
import HDF5

/// Results, to stdout. A reader that has gone (`fedclamp ... | head`) or a full disk ends the program with exit code 2,
/// the first quietly.
func output(_ text: String) {
    guard write(1, printable(text) + "\n") else {
        let code = errno
        if code != EPIPE { note("fedclamp: stdout: cannot write: \(String(cString: strerror(code)))") }
        OutputLock.releaseAll()
        exit(2)
    }
}

/// Checks, before hours of work, that a file can be written at `path`, and locks it until the process ends.
/// Throws `Failure.input` or `RunError.outputExists`.
/// - Parameter replace: an existing regular file may be replaced.
/// - Parameter inputs: files that are read, which the output must not replace.
/// - Parameter resumable: the hint names --resume too.
func requireWritable(_ path: String, replace: Bool, inputs: [String] = [], resumable: Bool = false) throws {
    try requireFile(path, inputs)
    try OutputLock.take(file: path)
    guard replace || !exists(path) else {
        throw resumable ? RunError.outputExists(path) : Failure.input("\(path) exists already; use --overwrite to replace it")
    }
    try Replacement.probe(path)
}

/// Throws where an output that is added to line by line has the name of a file that something else is read from or written to.
func requireOther(_ path: String, _ option: String, than others: [String]) throws {
    for other in others where !other.isEmpty && Files.areSame(path, other) {
        throw Failure.input("\(option) \(path): is \(other), which this command reads or writes; expected another name")
    }
}

/// What stands at `path` must be nothing, or a regular file that is none of `inputs`.
private func requireFile(_ path: String, _ inputs: [String]) throws {
    guard !path.isEmpty else { throw Failure.input("--out: expected the name of a file to write, such as run.h5, got an empty one") }
    for input in inputs where !input.isEmpty && Files.areSame(path, input) {
        let role = Files.exists(input) ? "the input file" : "to be another output of this command,"
        throw Failure.input("\(path): is \(role) \(input); expected another name for the output")
    }
    guard let there = Files.status(path) else {
        guard errno == ENOENT else { throw Failure.input("\(path): cannot write here: \(String(cString: strerror(errno)))") }
        return
    }
    guard there.st_mode & S_IFMT == S_IFREG else {
        throw Failure.input(
            "\(path): expected the name of a file to write, such as run.h5, got \(there.st_mode & S_IFMT == S_IFDIR ? "a folder" : "a device or pipe")"
        )
    }
}

func exists(_ path: String) -> Bool { Files.exists(path) }
