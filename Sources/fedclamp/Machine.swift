import ArgumentParser
import CPlatform
import Glibc
import Network
import Synchronization
import Tensor

/// What the work runs on. Neither changes a result's meaning: threads never change a bit, instruction sets round alike
/// but not equally.
struct MachineOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Threads; results do not depend on them. (default: the cores this process may use, within its CPU quota)", valueName: "n"))
    var threads: Int?

    @Option(
        help: ArgumentHelp(
            "Instruction set: baseline, avx2 or avx512. (default: FEDCLAMP_ISA, else the best this CPU has)", valueName: "name"),
        completion: .list(InstructionSet.allCases.map(\.rawValue)))
    var isa: String?

    /// As asked for, or one for each core; fewer, with a note, where the system grants fewer. Throws `Failure.usage` outside 1 to 1024.
    func threadCount() throws -> Int {
        let wanted = threads ?? min(Self.cores, 1024)
        guard (1...1024).contains(wanted) else { throw Failure.usage("--threads \(wanted): expected a number from 1 to 1024") }
        let (granted, code) = grantedThreads(wanted)
        if granted < wanted, !Self.saysSo.exchange(true, ordering: .relaxed) {
            note(
                "fedclamp: the system grants \(granted) of \(wanted) threads (\(String(cString: strerror(code)))): the work takes longer, its results are the same"
            )
        }
        return granted
    }

    private static let saysSo = Atomic<Bool>(false)

    /// The set asked for, else the one recorded in a file that is resumed, else the best.
    /// Throws `Failure.usage` for an unknown name, `Failure.input` for one this CPU lacks.
    func instructionSet(recorded: String? = nil) throws -> InstructionSet {
        let environment = getenv("FEDCLAMP_ISA").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        let inFile = "the file's instruction set"
        let asked = isa.map { ("--isa", $0) } ?? environment.map { ("FEDCLAMP_ISA", $0) } ?? recorded.map { (inFile, $0) }
        guard let (from, name) = asked else { return .best }
        if from == inFile, InstructionSet(rawValue: name) == nil {
            throw Failure.input("\(inFile) \"\(name)\": expected one of: \(Self.sets)")
        }
        let set = try choose(name, "instruction set", from: InstructionSet.allCases.map { ($0.rawValue, $0) })
        guard InstructionSet.available.contains(set) else {
            throw Failure.input("\(from) \(name): this CPU cannot run it; it has: \(Self.sets)")
        }
        return set
    }

    static var sets: String { InstructionSet.available.map(\.rawValue).joined(separator: ", ") }

    /// Cores that this process may use: by affinity and by the CPU quota of its control groups.
    static var cores: Int { Int(usable_cores()) }
}
