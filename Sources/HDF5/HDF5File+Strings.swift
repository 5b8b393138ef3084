import CHDF5

extension HDF5File {
    /// Bytes that the texts of one dataset or attribute may have: 64 MiB.
    static let textLimit = 64 << 20

    /// The text of a scalar (or one-element) dataset of strings. Throws `mismatch` when it is something else.
    public func readString(_ name: String) throws(HDF5Error) -> String {
        let texts = try readStrings(name)
        guard texts.count == 1 else { throw mismatch(name, "one text", "\(texts.count)") }
        return texts[0]
    }

    /// The texts of a dataset of strings, in row order.
    public func readStrings(_ name: String) throws(HDF5Error) -> [String] {
        try Library.locked { () throws(HDF5Error) in
            let dataset = try openDataset(name)
            return try texts(dataset.info, dataset.type.id, name) { type, buffer in
                H5Dread(dataset.id.id, type, chdf5_H5S_ALL(), chdf5_H5S_ALL(), chdf5_H5P_DEFAULT(), buffer)
            }
        }
    }

    /// Reads `info.count` strings with `read(memory type, buffer)`. Bytes that are no UTF-8 become replacement characters.
    func texts(_ info: HDF5Info, _ fileType: hid_t, _ name: String,
               _ read: (hid_t, UnsafeMutableRawPointer) -> herr_t) throws(HDF5Error) -> [String] {
        guard case .string(let length) = info.kind else { throw mismatch(name, "text", "\(info.kind)") }
        let stride = length ?? MemoryLayout<UnsafePointer<CChar>?>.stride
        let bytes = try product([info.count], stride, name)
        guard bytes <= Self.textLimit else { throw refused(name, "\(bytes) bytes of text, at most \(Self.textLimit) are read") }
        guard bytes > 0 else { return [] }
        let type = try stringType(length, name)
        try check(H5Tset_cset(type.id, H5Tget_cset(fileType)), "read", name)    // HDF5 does not convert ASCII to UTF-8
        let buffer = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
        defer { buffer.deallocate() }
        buffer.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)     // pointers stay nil if a read stops half-way
        let status = read(type.id, buffer)
        try check(status, "read", name)
        guard let length else { return try variableTexts(buffer, info.count, type.id, name) }
        return (0..<info.count).map { index in
            let text = UnsafeRawBufferPointer(start: buffer + index * length, count: length)
            return String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    /// Copies the strings that HDF5 allocated and gives them back.
    private func variableTexts(_ buffer: UnsafeMutableRawPointer, _ count: Int, _ type: hid_t,
                               _ name: String) throws(HDF5Error) -> [String] {
        let pointers = buffer.assumingMemoryBound(to: UnsafePointer<CChar>?.self)
        let texts = (0..<count).map { index in pointers[index].map { String(cString: $0) } ?? "" }
        let space = Handle(H5Screate_simple(1, [hsize_t(count)], nil))
        try check(H5Dvlen_reclaim(type, space.id, chdf5_H5P_DEFAULT(), buffer), "read", name)
        return texts
    }
}
