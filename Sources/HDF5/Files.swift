import Glibc

/// The border between paths as the program holds them, texts, and as the kernel takes them, bytes. A path need not be UTF-8:
/// each byte that is not part of it stands in the text as one character of a private range, U+10FF00 + the byte, and becomes
/// that byte again here, where every call that takes a path is made. (Python's "surrogateescape" does the same; Swift's
/// texts hold no surrogates.)
public enum Files {
    /// U+10FF80 to U+10FFFF, for the bytes 0x80 to 0xFF. A path that has such a character itself has its four bytes escaped.
    private static let escapes: ClosedRange<UInt32> = 0x10ff80...0x10ffff

    /// The text for the bytes of a path; nothing is lost.
    public static func path(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self), !hasEscapes(text) { return text }
        var text = String.UnicodeScalarView(), at = 0
        while at < bytes.count {
            let character = (1...4).lazy.compactMap { scalar(bytes[at...].prefix($0)) }.first
            text.append(character ?? escape(bytes[at]))
            at += character.map { UTF8.width($0) } ?? 1
        }
        return String(text)
    }

    public static func path(_ pointer: UnsafePointer<CChar>) -> String {
        path([UInt8](UnsafeRawBufferPointer(start: pointer, count: strlen(pointer))))
    }

    private static func hasEscapes(_ text: String) -> Bool { text.unicodeScalars.contains { escapes ~= $0.value } }

    /// The one character that `bytes` are in UTF-8; nil where they are not just one, or one of the private range.
    private static func scalar(_ bytes: ArraySlice<UInt8>) -> Unicode.Scalar? {
        guard let scalars = String(validating: bytes, as: UTF8.self)?.unicodeScalars, scalars.count == 1 else { return nil }
        return scalars.first.flatMap { escapes ~= $0.value ? nil : $0 }
    }

    private static func escape(_ byte: UInt8) -> Unicode.Scalar { Unicode.Scalar(0x10ff00 + UInt32(byte)) ?? "\u{fffd}" }

    /// The bytes of a path.
    public static func bytes(_ path: String) -> [UInt8] {
        path.unicodeScalars.flatMap { scalar in
            escapes ~= scalar.value ? [UInt8(scalar.value & 0xff)] : Array(UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }

    /// A path, or a text with paths in it, for people: "\xE9" for a byte that is not UTF-8.
    public static func shown(_ text: String) -> String {
        guard hasEscapes(text) else { return text }
        return text.unicodeScalars.map { scalar in
            escapes ~= scalar.value ? "\\x" + String(scalar.value & 0xff, radix: 16, uppercase: true) : String(scalar)
        }.joined()
    }

    /// Runs `body` with the path's bytes, which end with a zero.
    public static func withBytes<R, E: Error>(_ path: String, _ body: (UnsafePointer<CChar>) throws(E) -> R) throws(E) -> R {
        let ended = (bytes(path) + [0]).map { CChar(bitPattern: $0) }
        var result: Result<R, E>?
        ended.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            do throws(E) { result = .success(try body(base)) } catch { result = .failure(error) }
        }
        guard let result else { preconditionFailure("an array with a zero in it has an address") }
        return try result.get()
    }

    /// The folder of a path, "." for a bare name, and its last part. By bytes: a name may begin with a combining character.
    public static func split(_ path: String) -> (folder: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
        let name = String(path[path.utf8.index(after: slash)...])
        return (slash == path.utf8.startIndex ? "/" : String(path[..<slash]), name)
    }

    /// The parts between slashes, by bytes; empty ones are left out.
    public static func parts(_ path: String) -> [String] {
        path.utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
    }

    /// A name for a companion of the file at `path`, in its folder: its name and `suffix`. Of a long name a part and a hash
    /// stand for it, so that the companion's is short wherever the file's own is allowed (eCryptfs: 143 bytes).
    public static func companion(of path: String, _ suffix: String) -> String {
        let (folder, name) = split(path), bytes = bytes(name)
        guard bytes.count > longestStem else { return "\(path)\(suffix)" }
        let hash = bytes.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }  // FNV-1a
        let stem = Files.path(Array(bytes.prefix(keptOfStem))) + "~" + String(hash, radix: 16)
        return folder == "." && !path.hasPrefix("./") ? stem + suffix : "\(folder == "/" ? "" : folder)/\(stem)\(suffix)"
    }

    private static let longestStem = 64, keptOfStem = 40
}

/// System calls on paths, each as the C library has it: errno says why one failed.
extension Files {
    public static func open(_ path: String, _ flags: Int32, _ mode: mode_t = 0) -> Int32 {
        withBytes(path) { Glibc.open($0, flags | O_CLOEXEC, mode) }
    }

    public static func stream(_ path: String, _ mode: String) -> UnsafeMutablePointer<FILE>? {
        withBytes(path) { fopen($0, mode) }
    }

    /// What stands at a path, links followed; nil with errno.
    public static func status(_ path: String) -> stat? {
        var status = stat()
        return withBytes(path) { stat($0, &status) } == 0 ? status : nil
    }

    public static func exists(_ path: String) -> Bool { withBytes(path) { access($0, F_OK) } == 0 }

    /// Whether it is a file that may be executed.
    public static func isProgram(_ path: String) -> Bool { !isFolder(path) && withBytes(path) { access($0, X_OK) } == 0 }

    /// The folder of the running executable; nil where the system does not say.
    public static var executableFolder: String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        let length = readlink("/proc/self/exe", &buffer, buffer.count)
        return length > 0 ? split(path(buffer.prefix(length).map { UInt8(bitPattern: $0) })).folder : nil
    }

    public static func isFolder(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT == S_IFDIR } ?? false }

    public static func rename(_ path: String, to other: String) -> Bool {
        withBytes(path) { from in withBytes(other) { Glibc.rename(from, $0) } } == 0
    }

    @discardableResult
    public static func unlink(_ path: String) -> Bool { withBytes(path) { Glibc.unlink($0) } == 0 }

    public static func makeFolder(_ path: String) -> Bool { withBytes(path) { mkdir($0, 0o777) } == 0 }

    /// The path with all links followed, those too that lead to nothing yet; itself where there is nothing.
    public static func resolved(_ path: String) -> String {
        var path = path
        for _ in 0..<mostLinks {
            if let found = withBytes(path, { realpath($0, nil) }) {
                defer { free(found) }
                return Files.path(found)
            }
            guard let next = link(path) else { return path }
            path = next.hasPrefix("/") ? next : "\(split(path).folder)/\(next)"
        }
        return path
    }

    /// Links that are followed one after the other, as Linux does.
    private static let mostLinks = 40

    /// What a symbolic link holds; nil for what is none.
    private static func link(_ path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = withBytes(path) { readlink($0, &bytes, bytes.count - 1) }
        return count > 0 ? Files.path(bytes[..<count].map { UInt8(bitPattern: $0) }) : nil
    }

    /// Whether two names lead to the same file, also where nothing is there yet.
    public static func areSame(_ a: String, _ b: String) -> Bool {
        if let one = status(a), let other = status(b) { return one.st_dev == other.st_dev && one.st_ino == other.st_ino }
        func place(_ path: String) -> String {
            let target = resolved(path), (folder, name) = split(target)
            return "\(resolved(folder))/\(name)"
        }
        return place(a).utf8.elementsEqual(place(b).utf8)
    }

    /// Whether a name is one that this program made up beside an output: NAME + mark + PROCESS-RANDOM, a number and hexadecimal digits.
    public static func isCompanion(_ name: String, _ mark: String) -> Bool {
        guard let found = name.ranges(of: mark).last else { return false }
        let parts = name[found.upperBound...].split(separator: "-", omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[0].isEmpty && parts[0].allSatisfy { $0.isASCII && $0.isNumber }
            && (1...8).contains(parts[1].count) && parts[1].allSatisfy { $0.isASCII && $0.isHexDigit }
    }

    /// Whether a file is a mount point, as those that a container has from outside; false where the system does not say.
    static func isMounted(_ path: String) -> Bool {
        guard let bytes = try? read("/proc/self/mountinfo", limit: 1 << 20, regular: false) else { return false }
        let escaped = Array(path.utf8).flatMap { byte -> [UInt8] in
            [9, 10, 32, 92].contains(byte) ? Array("\\0\(String(byte, radix: 8))".utf8) : [byte]
        }
        return bytes.split(separator: 10).contains { line in
            let fields = line.split(separator: 32)
            return fields.count > 4 && fields[4].elementsEqual(escaped)
        }
    }

    /// Names in a folder; none where it cannot be read.
    public static func names(in folder: String) -> [String] {
        guard let entries = withBytes(folder, { opendir($0) }) else { return [] }
        defer { closedir(entries) }
        var names: [String] = []
        while let entry = readdir(entries) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { path($0) }
                })
        }
        return names
    }

    /// All bytes of the file at `path`. Throws `system`, and `refused` for more than `limit` bytes or, with `regular`, for
    /// what is no regular file.
    public static func read(_ path: String, limit: Int, regular: Bool = true) throws(HDF5Error) -> [UInt8] {
        if regular { _ = try regularFileSize(path) }
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { throw .system(path: path, operation: "open", code: errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = [], buffer = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count <= limit {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .system(path: path, operation: "read", code: errno) }
            guard count > 0 else { return bytes }
            bytes += buffer.prefix(count)
        }
        throw .refused(
            path: path, object: "/",
            reason: "more than \(limit >> 10) KiB, which a text file of this program never has")
    }
}

/// Size in bytes of the regular file at `path`. Pipes and devices are refused: opening one can wait forever.
func regularFileSize(_ path: String) throws(HDF5Error) -> Int {
    guard let status = Files.status(path) else { throw .system(path: path, operation: "open", code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
        throw .mismatch(
            path: path, object: "/", expected: "a regular file",
            got: status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "a device or pipe")
    }
    return Int(status.st_size)
}
