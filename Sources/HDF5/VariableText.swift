import CHDF5
import Glibc

/// Texts of any length, which h5py writes by default, lie in a "global heap", a part of the format without check sums. HDF5
/// 1.10's own reader of it loops forever on one wrong byte and copies as many bytes as the heap says into room for as many
/// as the reference says. So HDF5 hands over the references as they are in the file, and the heap is read here, with every
/// size checked. (HDF5 File Format Specification 3.0, III.E "Global Heap".)
extension HDF5File {
    /// Reads `count` references with `read(memory type, buffer)` and gives their texts.
    func variableTexts(_ count: Int, _ name: String, _ read: (hid_t, UnsafeMutableRawPointer) -> herr_t) throws(HDF5Error) -> [String] {
        let base = try heapBase(name)
        let type = Handle(try check(H5Tcreate(H5T_OPAQUE, TextReference.bytes), "read", name))
        var references = [UInt8](repeating: 0, count: count * TextReference.bytes)
        let status = references.withUnsafeMutableBytes { buffer in buffer.baseAddress.map { read(type.id, $0) } ?? 0 }
        try check(status, "read", name)
        var texts: [String] = [], collections: [UInt64: [UInt8]] = [:], total = 0
        for start in stride(from: 0, to: references.count, by: TextReference.bytes) {
            let length = Int(Self.number(references, start, 4)), address = Self.number(references, start + 4, 8)
            guard length > 0 else { texts.append(""); continue }  // also what was never written
            total += length
            guard total <= Self.textLimit else { throw refused(name, "more than \(Self.textLimit) bytes of text") }
            if collections[address] == nil { collections[address] = try collection(base, address, name) }
            guard let heap = collections[address], let range = Self.object(Self.number(references, start + 12, 4), in: heap),
                range.count >= length
            else { throw refused(name, "its text is damaged") }
            let text = heap[range].prefix(length)
            texts.append(String(decoding: text.prefix { $0 != 0 }, as: UTF8.self))
        }
        return texts
    }

    /// Where addresses count from: behind a user block.
    private func heapBase(_ name: String) throws(HDF5Error) -> UInt64 {
        guard fileSize > 0 else { throw refused(name, "texts of any length are not read from a file that is being written") }
        let creation = Handle(try check(H5Fget_create_plist(id), "read", name))
        var addressBytes = 0, lengthBytes = 0, block: hsize_t = 0
        try check(H5Pget_sizes(creation.id, &addressBytes, &lengthBytes), "read", name)
        try check(H5Pget_userblock(creation.id, &block), "read", name)
        guard addressBytes == 8, lengthBytes == 8 else {
            throw refused(name, "addresses of \(addressBytes) and lengths of \(lengthBytes) bytes")
        }
        return block
    }

    /// The bytes of the heap collection at `address`: "GCOL", version 1, 3 unused, size of the whole (8), then objects.
    private func collection(_ base: UInt64, _ address: UInt64, _ name: String) throws(HDF5Error) -> [UInt8] {
        let (sum, overflow) = base.addingReportingOverflow(address)
        guard !overflow, let start = Int(exactly: sum), start <= fileSize - 16 else {
            throw refused(name, "its text lies outside of the file")
        }
        let header = try bytes(at: start, count: 16, name), size = Self.number(header, 8, 8)
        guard header.starts(with: [0x47, 0x43, 0x4f, 0x4c, 1]), size >= 16, size <= UInt64(fileSize - start) else {
            throw refused(name, "its text is damaged")
        }
        guard size <= UInt64(Self.textLimit) else { throw refused(name, "\(size) bytes of text in one place") }
        return try bytes(at: start, count: Int(size), name)
    }

    /// Where object `index` lies in a collection. Objects: index (2), references (2), 4 unused, size (8), then the bytes,
    /// up to a multiple of 8; index 0 is the free space at the end.
    private static func object(_ index: UInt64, in collection: [UInt8]) -> Range<Int>? {
        var start = 16
        while start <= collection.count - 16 {
            let found = number(collection, start, 2), size = number(collection, start + 8, 8)
            guard found != 0, size <= UInt64(collection.count - start - 16) else { return nil }
            let end = start + 16 + Int(size)
            if found == index { return start + 16..<end }
            start = (end + 7) & ~7
        }
        return nil
    }

    /// Bytes of the file, read past HDF5 through the descriptor that it has open.
    private func bytes(at start: Int, count: Int, _ name: String) throws(HDF5Error) -> [UInt8] {
        var handle: UnsafeMutableRawPointer?
        try check(H5Fget_vfd_handle(id, chdf5_H5P_DEFAULT(), &handle), "read", name)
        guard let descriptor = handle?.load(as: Int32.self) else { throw refused(name, "a file without a descriptor") }
        var code: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, done in
            while done < count {
                let got = pread(descriptor, buffer.baseAddress.map { $0 + done }, count - done, start + done)
                if got < 0 && errno == EINTR { continue }
                code = got < 0 ? errno : EIO
                guard got > 0 else { return }
                done += got
            }
        }
        guard bytes.count == count else { throw .system(path: path, operation: "read", code: code) }
        return bytes
    }

    private static func number(_ bytes: [UInt8], _ start: Int, _ count: Int) -> UInt64 {
        bytes[start..<start + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
