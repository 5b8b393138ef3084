import CPlatform
import KernelTable
import KernelsBaseline
#if arch(x86_64)
    import KernelsAVX2
    import KernelsAVX512
#endif

/// The kernels for one instruction set. All results are the same to the bit on any CPU that runs the same set.
public enum InstructionSet: String, CaseIterable, Sendable {
    case baseline, avx2, avx512

    /// Those this CPU and its operating system can run, slowest first.
    public static var available: [InstructionSet] {
        #if arch(x86_64)
            return Array(allCases.prefix(Int(cpu_level()) + 1))
        #else
            return [.baseline]
        #endif
    }

    /// The default: the widest that has been tried on real machines.
    public static var best: InstructionSet { available.last ?? .baseline }

    public var kernels: KernelTable {
        #if arch(x86_64)
            switch self {
            case .avx512: return KernelsAVX512.kernelTable()
            case .avx2: return KernelsAVX2.kernelTable()
            case .baseline: return KernelsBaseline.kernelTable()
            }
        #else
            return KernelsBaseline.kernelTable()
        #endif
    }
}
