import CHDF5
import CPlatform

/// What a copy of this process does with a file before this process opens it: see `FileProbe`.
extension HDF5File {
    /// Names that a trial looks at.
    private static let mostTried = 10_000
    /// Each name and attribute counts as so many bytes of work, beside the elements.
    private static let nameWork: Int64 = 8 << 10

    /// Reads every object and attribute the way the program does; errors are for the one who reads in earnest.
    func readEverything() {
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
