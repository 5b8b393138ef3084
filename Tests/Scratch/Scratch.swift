import Glibc

/// A folder that goes away with the test.
public final class Scratch {
    public let path: String

    public init() {
        var template = Array("/tmp/fedclamp-test-XXXXXX".utf8CString)
        path = mkdtemp(&template).map { String(cString: $0) } ?? "/nowhere"
    }

    deinit {
        names().forEach { unlink(file($0)) }
        rmdir(path)
    }

    public func file(_ name: String) -> String { path + "/" + name }

    public func names() -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    public func bytes(_ name: String) -> [UInt8] {
        guard let stream = fopen(file(name), "rb") else { return [] }
        defer { fclose(stream) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = fread(&buffer, 1, buffer.count, stream)
            guard count > 0 else { return bytes }
            bytes += buffer.prefix(count)
        }
    }

    public func put(_ name: String, _ bytes: [UInt8]) {
        guard let stream = fopen(file(name), "wb") else { return }
        fwrite(bytes, 1, bytes.count, stream)
        fclose(stream)
    }
}

/// The error that `body` throws, as text; nil when it throws none.
public func message(_ body: () throws -> Void) -> String? {
    do { try body(); return nil } catch { return "\(error)" }
}
