import CPlatform
import Glibc
import HDF5

/// The process's largest resident memory, as Linux counts it.
enum ResidentMemory {
    /// Gives free heap back and starts the count anew; without /proc, or where that is not allowed, does nothing.
    static func resetPeak() {
        trim_heap()
        guard let file = fopen("/proc/self/clear_refs", "we") else { return }
        fputs("5", file)
        fclose(file)
    }

    /// Bytes since the last reset, or since the start; NaN where /proc does not say.
    static var peakBytes: Double {
        guard let lines = try? TextLines.read("/proc/self/status", limit: 1 << 20).lines else { return .nan }
        for line in lines {
            let words = line.text.split { $0 == " " || $0 == "\t" }
            if words.count >= 2, words[0] == "VmHWM:", let kilobytes = Double(words[1]) { return kilobytes * 1024 }
        }
        return .nan
    }
}
