import CHDF5
import CPlatform
import Glibc

/// HDF5 1.10 frees wild pointers and loops forever on some damaged files. So before this process opens a file, a copy of it
/// does, and reads all that is in it; a file that the copy dies of is refused. What it may take is counted in bytes of work
/// that the file gives reason for (`work_ahead`), so that a good file is good on every processor.
enum FileProbe {
    /// What was tried and good: a file changes its identity when it is replaced or written to.
    private struct Identity: Hashable { var device: UInt, inode: UInt, size: Int, seconds: Int, nanoseconds: Int }
    private nonisolated(unsafe) static var passed: Set<Identity> = []

    private final class Candidate {
        let path: String
        init(_ path: String) { self.path = path }
    }

    /// Throws `refused` when reading the file at `path` kills the copy. To be called inside `Library.locked`.
    static func pass(_ path: String) throws(HDF5Error) {
        guard let status = Files.status(path) else { return }  // opening says why
        let identity = Identity(
            device: UInt(status.st_dev), inode: UInt(status.st_ino), size: Int(status.st_size),
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec)
        guard !passed.contains(identity) else { return }
        let candidate = Candidate(path)
        let signal = survives(
            { context in
                guard let context else { return }
                Library.isNowAlone()
                let candidate = Unmanaged<Candidate>.fromOpaque(context).takeUnretainedValue()
                work_ahead(Int64((try? regularFileSize(candidate.path)) ?? 0) / HDF5File.structureShare)
                if let file = try? HDF5File.openUntried(candidate.path) { file.readEverything() }
            }, Unmanaged.passUnretained(candidate).toOpaque(), HDF5File.firstSeconds)
        withExtendedLifetime(candidate) {}
        guard signal <= 0 else {
            let what = signal == SIGXCPU ? "does not come to an end" : "crashes the HDF5 library (signal \(signal))"
            throw .refused(path: path, object: "/", reason: "reading it \(what): the file is damaged")
        }
        passed.insert(identity)
    }
}

extension HDF5File {
    /// Names that a trial looks at.
    private static let mostTried = 10_000
    /// Seconds that a copy begins with: a thousand times what opening takes here. A file without an end takes them all.
    fileprivate static let firstSeconds: Int32 = 3
    /// Of the file's bytes, one in so many counts as work beforehand; each name and attribute as so many bytes more.
    fileprivate static let structureShare: Int64 = 10, nameWork: Int64 = 8 << 10

    /// Reads every object and attribute the way the program does; errors are for the one who reads in earnest.
    fileprivate func readEverything() {
        var left = Self.mostTried, seen: Set<UInt64> = []
        read(group: "/", depth: 0, &left, &seen)
    }

    /// - Parameter seen: objects that were read: groups may contain themselves, and many links lead to one dataset.
    private func read(group: String, depth: Int, _ left: inout Int, _ seen: inout Set<UInt64>) {
        readAttributes(group)
        guard depth < 16, let names = try? children(of: group) else { return }
        for name in names {
            left -= 1
            guard left > 0 else { return }
            work_ahead(Self.nameWork)
            let path = group == "/" ? "/\(name)" : "\(group)/\(name)"
            guard let object = try? identity(of: path), seen.insert(object).inserted, let isDataset = try? isDataset(path) else { continue }
            guard isDataset else { read(group: path, depth: depth + 1, &left, &seen); continue }
            readAttributes(path)
            readElements(path)
        }
    }

    private func readAttributes(_ object: String) {
        for name in (try? attributes(of: object)) ?? [] {
            work_ahead(Self.nameWork)
            _ = try? stringsAttribute(name, of: object)
            _ = try? doubleAttribute(name, of: object)
        }
    }

    private func readElements(_ name: String) {
        guard let info = try? info(of: name) else { return }
        switch info.kind {
        case .string:
            work_ahead(Int64(clamping: min(fileSize, Self.textLimit)))
            _ = try? readStrings(name)
        case .integer(false, 1): rows(name, info, UInt8.self)
        case .integer(false, 2): rows(name, info, UInt16.self)
        case .integer(false, 4): rows(name, info, UInt32.self)
        case .integer(false, _): rows(name, info, UInt64.self)
        case .integer(true, 1), .enumeration(true, 1): rows(name, info, Int8.self)
        case .integer(true, 2): rows(name, info, Int16.self)
        case .integer(true, 4): rows(name, info, Int32.self)
        case .integer, .enumeration: rows(name, info, Int64.self)
        case .float(let bytes) where bytes <= 4: rows(name, info, Float.self)
        case .float: rows(name, info, Double.self)
        case .other: break
        }
    }

    /// All elements, some rows at a time; where chunks lie in them, whole ones, so that each is unpacked once. Where elements
    /// lie in one piece nothing can go wrong behind the first.
    private func rows<T: HDF5Scalar>(_ name: String, _ info: HDF5Info, _ type: T.Type) {
        guard let count = info.shape.first, count > 0 else { _ = try? read(name, as: type); return }
        guard let storage = try? storage(of: name, as: type) else { return }
        let rowBytes = max(1, info.count / count * MemoryLayout<T>.stride), wanted = max(1, (4 << 20) / rowBytes)
        let step = storage.chunkRows.map { max(1, wanted / $0) * $0 } ?? wanted
        for first in stride(from: 0, to: storage.chunkRows == nil ? 1 : count, by: step) {
            let rows = min(step, count - first)
            work_ahead(Int64(clamping: min(rows.multipliedReportingOverflow(by: rowBytes).partialValue, storage.mostBytes)))
            guard (try? readRows(name, as: type, from: first, count: rows)) != nil else { return }
        }
    }

    /// Rows of a chunk, nil where elements lie in one piece, and the most bytes that can come of what is stored.
    /// Throws for what would not be read anyway.
    private func storage<T: HDF5Scalar>(of name: String, as type: T.Type) throws(HDF5Error) -> (chunkRows: Int?, mostBytes: Int) {
        try Library.locked { () throws(HDF5Error) in
            let dataset = try openDataset(name)
            try checkMemory(try product([dataset.info.count], MemoryLayout<T>.stride, name), dataset, .max, name)
            let properties = Handle(try check(H5Dget_create_plist(dataset.id.id), "read", name))
            let (stored, overflow) = dataset.info.storedBytes.multipliedReportingOverflow(by: dataset.expansion * 8)
            let most = overflow ? Int.max : max(1 << 20, stored)
            guard H5Pget_layout(properties.id) == H5D_CHUNKED else { return (nil, most) }
            var chunk = [hsize_t](repeating: 0, count: 33)
            try check(H5Pget_chunk(properties.id, 32, &chunk), "read", name)
            return (max(1, Int(clamping: chunk[0])), most)
        }
    }
}
