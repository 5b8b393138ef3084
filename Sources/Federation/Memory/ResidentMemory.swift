import CStart
import Glibc

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
        guard let file = fopen("/proc/self/status", "re") else { return .nan }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split { $0 == " " || $0 == "\t" || $0 == "\n" }
            if words.count >= 2, words[0] == "VmHWM:", let kilobytes = Double(words[1]) { return kilobytes * 1024 }
        }
        return .nan
    }
}
