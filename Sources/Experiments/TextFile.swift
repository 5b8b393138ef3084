import Federation
import Glibc

/// Small text files, replaced as one step.
enum TextFile {
    /// A temporary file in the same folder, synced, then renamed. Throws `FileError`.
    static func write(_ text: String, to path: String) throws {
        let temporary = "\(path).partial-\(getpid())"
        guard let file = fopen(temporary, "we") else { throw FileError(path: path, operation: "write", code: errno) }
        let written = text.utf8.count == fwrite(Array(text.utf8), 1, text.utf8.count, file)
        let synced = fflush(file) == 0 && (fsync(fileno(file)) == 0 || errno == EINVAL)
        let code = errno
        guard fclose(file) == 0, written, synced, rename(temporary, path) == 0 else {
            let code = written && synced ? errno : code
            unlink(temporary)
            throw FileError(path: path, operation: "write", code: code)
        }
    }

    /// The whole file, at most 16 MiB; nil where there is none.
    static func read(_ path: String) throws -> String? {
        guard let file = fopen(path, "re") else {
            if errno == ENOENT { return nil }
            throw FileError(path: path, operation: "open", code: errno)
        }
        defer { fclose(file) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count < 16 << 20 {
            let n = fread(&buffer, 1, buffer.count, file)
            if n == 0 { break }
            bytes += buffer[..<n]
        }
        guard ferror(file) == 0 else { throw FileError(path: path, operation: "read", code: errno) }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// A call to the operating system failed with `code` (an errno).
public struct FileError: Error, CustomStringConvertible {
    public var path: String, operation: String, code: Int32

    public var description: String { "\(path): cannot \(operation): \(String(cString: strerror(code)))" }
}
