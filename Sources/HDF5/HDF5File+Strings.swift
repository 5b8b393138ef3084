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
    func texts(
        _ info: HDF5Info, _ fileType: hid_t, _ name: String,
        _ read: (hid_t, UnsafeMutableRawPointer) -> herr_t
    ) throws(HDF5Error) -> [String] {
        guard case .string(let length) = info.kind else { throw mismatch(name, "text", "\(info.kind)") }
        let stride = length ?? TextReference.bytes
        let size = try product([info.count], stride, name)
        guard size <= Self.textLimit else { throw refused(name, "\(size) bytes of text, at most \(Self.textLimit) are read") }
        guard size > 0 else { return [] }
        guard length != nil else { return try variableTexts(info.count, name, read) }
        let type = try stringType(length, name)
        try check(H5Tset_cset(type.id, H5Tget_cset(fileType)), "read", name)  // HDF5 does not convert ASCII to UTF-8
        var bytes = [UInt8](repeating: 0, count: size)
        let status = bytes.withUnsafeMutableBytes { buffer in buffer.baseAddress.map { read(type.id, $0) } ?? 0 }
        try check(status, "read", name)
        return Swift.stride(from: 0, to: size, by: stride).map { start in
            String(decoding: bytes[start..<start + stride].prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
