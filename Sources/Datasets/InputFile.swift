import CZlib
import Glibc
import HDF5

/// Original files of data sets: plain or gzip, read whole, never larger than a bound known before memory is taken.
enum InputFile {
    /// Bytes of one original file, packed or not: 256 MiB. The largest published one has 154 million.
    static let limit = 256 << 20

    /// The first of `folders`/`names` that is a regular file.
    static func find(_ names: [String], in folders: [String]) -> String? {
        for folder in folders {
            for name in names {
                if let status = Files.status("\(folder)/\(name)"), status.st_mode & S_IFMT == S_IFREG { return "\(folder)/\(name)" }
            }
        }
        return nil
    }

    /// All bytes of the file at `path`.
    static func read(_ path: String) throws(DatasetError) -> [UInt8] {
        let descriptor = Files.open(path, O_RDONLY)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", code: errno) }
        defer { Glibc.close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(path: path, operation: "open", code: errno) }
        guard status.st_size <= limit else {
            throw .malformed(path: path, what: "size", expected: "at most \(limit) bytes", got: "\(status.st_size)")
        }
        let size = Int(status.st_size)
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = Glibc.read(descriptor, buffer.baseAddress.map { $0 + count }, size - count)
                if got < 0 && errno == EINTR { continue }
                if got < 0 { code = errno }
                guard got > 0 else { return }
                count += got
            }
        }
        guard code == 0, bytes.count == size else { throw .system(path: path, operation: "read", code: code == 0 ? EIO : code) }
        return bytes
    }

    static func isGzip(_ bytes: [UInt8]) -> Bool { bytes.starts(with: [0x1f, 0x8b]) }

    /// The first `count` bytes of the gzip data `bytes`, or fewer where it ends earlier; `complete` says that the data ended
    /// there with right check sums. Data may be of several members, as parallel gzip writes them, and zeros may stand behind
    /// the last, as on tapes. Memory is taken for no more than deflate can make of the input (1032 to 1).
    static func inflate(_ bytes: [UInt8], first count: Int, _ path: String) throws(DatasetError) -> (bytes: [UInt8], complete: Bool) {
        let capacity = min(count, bytes.count * 1032 + 64)
        var end = InflateEnd(status: Z_OK, left: 0), source = bytes
        let output = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, produced in
            source.withUnsafeMutableBufferPointer { input in (end, produced) = inflateMembers(input, buffer) }
        }
        // Z_BUF_ERROR: the room or the input was used up; the caller knows from `complete` and the count.
        guard end.status == Z_OK || end.status == Z_STREAM_END || end.status == Z_BUF_ERROR else {
            throw .malformed(
                path: path, what: "gzip data", expected: "an undamaged file", got: "zlib error \(end.status)",
                hint: "download it again")
        }
        guard end.status != Z_STREAM_END || bytes.suffix(end.left).allSatisfy({ $0 == 0 }) else {
            throw .malformed(
                path: path, what: "gzip data", expected: "an undamaged file", got: "\(end.left) other bytes behind its end",
                hint: "download it again")
        }
        return (output, end.status == Z_STREAM_END)
    }

    /// How inflating ended: zlib's word for it, and bytes of the input that were not used.
    private struct InflateEnd { var status: Int32, left: Int }

    /// One member after the other, as long as one begins where the last ended.
    private static func inflateMembers(
        _ input: UnsafeMutableBufferPointer<UInt8>,
        _ output: UnsafeMutableBufferPointer<UInt8>
    ) -> (InflateEnd, produced: Int) {
        var stream = z_stream()
        var status = czlib_inflateInit2_gzip(&stream)
        guard status == Z_OK else { return (InflateEnd(status: status, left: input.count), 0) }
        defer { inflateEnd(&stream) }
        stream.next_in = input.baseAddress
        stream.avail_in = uInt(input.count)  // at most `limit`
        stream.next_out = output.baseAddress
        stream.avail_out = uInt(clamping: output.count)
        repeat {
            status = CZlib.inflate(&stream, Z_FINISH)
        } while status == Z_STREAM_END && isGzip(rest(stream)) && inflateReset(&stream) == Z_OK
        return (InflateEnd(status: status, left: Int(stream.avail_in)), output.count - Int(stream.avail_out))
    }

    /// The two bytes that a member begins with, where there are as many.
    private static func rest(_ stream: z_stream) -> [UInt8] {
        Array(UnsafeBufferPointer(start: stream.next_in, count: min(2, Int(stream.avail_in))))
    }
}
