import CZlib
import Glibc

/// Original files of data sets: plain or gzip, read whole, never larger than a bound known before memory is taken.
enum InputFile {
    /// Bytes of one original file, packed or not: 256 MiB. The largest published one has 154 million.
    static let limit = 256 << 20

    /// The first of `folders`/`names` that is a regular file.
    static func find(_ names: [String], in folders: [String]) -> String? {
        for folder in folders {
            for name in names {
                var status = stat()
                if stat("\(folder)/\(name)", &status) == 0, status.st_mode & S_IFMT == S_IFREG { return "\(folder)/\(name)" }
            }
        }
        return nil
    }

    /// All bytes of the file at `path`.
    static func read(_ path: String) throws(DatasetError) -> [UInt8] {
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
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
    /// there with a right check sum. Memory is taken for no more than deflate can make of the input (1032 to 1).
    static func inflate(_ bytes: [UInt8], first count: Int, _ path: String) throws(DatasetError) -> (bytes: [UInt8], complete: Bool) {
        let capacity = min(count, bytes.count * 1032 + 64)
        var status = Z_OK, source = bytes
        let output = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, produced in
            var stream = z_stream()
            status = czlib_inflateInit2_gzip(&stream)
            guard status == Z_OK else { return }
            defer { inflateEnd(&stream) }
            source.withUnsafeMutableBufferPointer { input in
                stream.next_in = input.baseAddress
                stream.avail_in = uInt(input.count)                 // at most `limit`
                stream.next_out = buffer.baseAddress
                stream.avail_out = uInt(clamping: capacity)
                status = CZlib.inflate(&stream, Z_FINISH)
                produced = capacity - Int(stream.avail_out)
            }
        }
        // Z_BUF_ERROR: the room or the input was used up; the caller knows from `complete` and the count.
        guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
            throw .malformed(path: path, what: "gzip data", expected: "an undamaged file", got: "zlib error \(status)",
                             hint: "download it again")
        }
        return (output, status == Z_STREAM_END)
    }
}
