import CHDF5

extension HDF5File {
    /// Writes `values`, in row order, as a contiguous little-endian dataset; groups above it are made where missing.
    /// `shape` is outermost first, empty for a scalar. Throws when the name exists or the shape does not hold the values.
    public func write<T: HDF5Scalar>(_ name: String, _ values: [T], shape: [Int]) throws(HDF5Error) {
        try Library.locked { () throws(HDF5Error) in
            guard try product(shape, 1, name) == values.count, !shape.contains(where: { $0 < 0 }) else {
                throw mismatch(name, "\(values.count) values to write", "shape \(shape)")
            }
            guard let types = T.kind.numberTypes else { throw mismatch(name, "numbers", "\(T.kind)") }
            let dataset = try createDataset(name, types.file, shape)
            guard !values.isEmpty else { return }
            try check(H5Dwrite(dataset.id, types.memory, chdf5_H5S_ALL(), chdf5_H5S_ALL(), chdf5_H5P_DEFAULT(), values), "write", name)
            try check(dataset.close(), "write", name)  // HDF5 keeps less than 64 KB back until then
        }
    }

    /// Writes one number as a scalar dataset.
    public func write<T: HDF5Scalar>(_ name: String, scalar value: T) throws(HDF5Error) { try write(name, [value], shape: []) }

    /// Writes text as a scalar dataset of a fixed-length UTF-8 string; any length (an attribute holds 64 KB at most).
    public func writeString(_ name: String, _ text: String) throws(HDF5Error) { try writeFixed(name, [text], shape: []) }

    /// Writes texts as a dataset of rank 1 of UTF-8 strings, all stored at the length of the longest.
    public func writeStrings(_ name: String, _ texts: [String]) throws(HDF5Error) {
        try writeFixed(name, texts, shape: [texts.count])
    }

    private func writeFixed(_ name: String, _ texts: [String], shape: [Int]) throws(HDF5Error) {
        try Library.locked { () throws(HDF5Error) in
            let length = max(1, texts.map(\.utf8.count).max() ?? 1)  // HDF5 has no strings of length 0
            let type = try stringType(length, name)
            let dataset = try createDataset(name, type.id, shape)
            guard !texts.isEmpty else { return }
            var bytes: [UInt8] = []
            bytes.reserveCapacity(length * texts.count)
            for text in texts {
                bytes += text.utf8
                bytes += repeatElement(0, count: length - text.utf8.count)
            }
            try check(H5Dwrite(dataset.id, type.id, chdf5_H5S_ALL(), chdf5_H5S_ALL(), chdf5_H5P_DEFAULT(), bytes), "write", name)
            try check(dataset.close(), "write", name)  // HDF5 keeps less than 64 KB back until then
        }
    }

    /// The type of UTF-8 strings of `length` bytes padded with zeros, or of any length when nil.
    func stringType(_ length: Int?, _ name: String) throws(HDF5Error) -> Handle {
        let type = Handle(try check(H5Tcopy(chdf5_H5T_C_S1()), "write", name))
        try check(H5Tset_size(type.id, length ?? chdf5_H5T_VARIABLE()), "write", name)
        try check(H5Tset_cset(type.id, H5T_CSET_UTF8), "write", name)
        if length != nil { try check(H5Tset_strpad(type.id, H5T_STR_NULLPAD), "write", name) }
        return type
    }

    /// A dataspace of `shape`; empty is a scalar.
    func dataspace(_ shape: [Int], _ name: String) throws(HDF5Error) -> Handle {
        guard !shape.isEmpty else { return Handle(try check(H5Screate(H5S_SCALAR), "write", name)) }
        return Handle(try check(H5Screate_simple(Int32(shape.count), shape.map { hsize_t($0) }, nil), "write", name))
    }

    private func createDataset(_ name: String, _ type: hid_t, _ shape: [Int]) throws(HDF5Error) -> Handle {
        if let slash = name.lastIndex(of: "/") { try createGroup(String(name[..<slash])) }
        let space = try dataspace(shape, name)
        let properties = Handle(H5Pcreate(chdf5_H5P_DATASET_CREATE()))
        try check(H5Pset_obj_track_times(properties.id, false), "write", name)  // equal content, equal file
        try check(H5Pset_layout(properties.id, H5D_CONTIGUOUS), "write", name)
        return Handle(
            try check(
                H5Dcreate2(id, name, type, space.id, chdf5_H5P_DEFAULT(), properties.id, chdf5_H5P_DEFAULT()),
                "write", name))
    }
}
