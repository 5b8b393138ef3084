import CHDF5

/// Attributes of groups and datasets: texts, whole numbers, real numbers, lists of texts. `object` is "/" for the root.
/// Readers give nil when the attribute is not there, or has no value (a null dataspace), and throw `mismatch` when it is of another kind.
extension HDF5File {
    /// Names of the attributes of `object`, in the order of their bytes.
    public func attributes(of object: String = "/") throws(HDF5Error) -> [String] {
        try Library.locked { () throws(HDF5Error) in
            let owner = try openObject(object, nil)
            var names: [String] = [], buffer = [CChar](repeating: 0, count: 4097)
            let count = H5Aget_num_attrs(owner.id)
            guard count <= 1000 else { throw refused(object, "\(count) attributes, at most 1000 are read") }
            for index in 0..<max(0, count) {
                let length = H5Aget_name_by_idx(
                    owner.id, ".", H5_INDEX_NAME, H5_ITER_INC, hsize_t(index), &buffer, buffer.count,
                    chdf5_H5P_DEFAULT())
                try check(length, "list the attributes", object)
                names.append(Files.path(buffer.prefix(min(length, 4096)).map { UInt8(bitPattern: $0) }))
            }
            return names
        }
    }

    public func stringAttribute(_ name: String, of object: String = "/") throws(HDF5Error) -> String? {
        guard let texts = try stringsAttribute(name, of: object) else { return nil }
        guard texts.count == 1 else { throw mismatch(label(name, object), "one text", "\(texts.count)") }
        return texts[0]
    }

    public func stringsAttribute(_ name: String, of object: String = "/") throws(HDF5Error) -> [String]? {
        try withAttribute(name, object) { attribute, type, info throws(HDF5Error) in
            try texts(info, type, label(name, object)) { type, buffer in H5Aread(attribute, type, buffer) }
        }
    }

    public func intAttribute(_ name: String, of object: String = "/") throws(HDF5Error) -> Int? {
        try withAttribute(name, object) { attribute, _, info throws(HDF5Error) in
            guard case .integer(let signed, _) = info.kind, info.count == 1 else {
                throw mismatch(label(name, object), "one whole number", "\(info.count) of kind \(info.kind)")
            }
            if signed { return Int(try number(attribute, name, object) as Int64) }
            let value: UInt64 = try number(attribute, name, object)
            guard let exact = Int(exactly: value) else { throw mismatch(label(name, object), "a value of int64", "\(value)") }
            return exact
        }
    }

    /// A real number; a whole one is taken too, where a double holds it exactly.
    public func doubleAttribute(_ name: String, of object: String = "/") throws(HDF5Error) -> Double? {
        let real = try withAttribute(name, object) { attribute, _, info throws(HDF5Error) -> Double? in
            guard case .float = info.kind, info.count == 1 else { return nil }
            return try number(attribute, name, object)
        }
        guard let found = real else { return nil }
        if let found { return found }
        guard let whole = try intAttribute(name, of: object) else { return nil }
        guard let exact = Double(exactly: whole) else { throw mismatch(label(name, object), "a real number", "\(whole)") }
        return exact
    }

    /// Variable-length UTF-8, which h5py shows as `str`. For texts that may pass 64 KB use `writeString`.
    public func setAttribute(_ name: String, of object: String = "/", _ text: String) throws(HDF5Error) {
        try setTexts(name, object, [text], shape: [])
    }

    public func setAttribute(_ name: String, of object: String = "/", _ texts: [String]) throws(HDF5Error) {
        try setTexts(name, object, texts, shape: [texts.count])
    }

    public func setAttribute(_ name: String, of object: String = "/", _ value: Int) throws(HDF5Error) {
        try create(name, object, chdf5_H5T_STD_I64LE(), []) { H5Awrite($0, chdf5_H5T_NATIVE_INT64(), [Int64(value)]) }
    }

    public func setAttribute(_ name: String, of object: String = "/", _ value: Double) throws(HDF5Error) {
        try create(name, object, chdf5_H5T_IEEE_F64LE(), []) { H5Awrite($0, chdf5_H5T_NATIVE_DOUBLE(), [value]) }
    }

    private func setTexts(_ name: String, _ object: String, _ texts: [String], shape: [Int]) throws(HDF5Error) {
        try Library.locked { () throws(HDF5Error) in
            let type = try stringType(nil, label(name, object)), id = type.id
            let bytes = texts.map { Array($0.utf8CString) }
            try create(name, object, id, shape) { attribute in
                guard !texts.isEmpty else { return 0 }
                return withPointers(bytes) { H5Awrite(attribute, id, $0) }
            }
        }
    }

    /// Pointers to zero-ended strings, valid during `body`.
    private func withPointers(_ strings: [[CChar]], _ body: (UnsafeRawPointer) -> herr_t) -> herr_t {
        let joined = strings.flatMap { $0 }
        return joined.withUnsafeBufferPointer { all in
            var pointers: [UnsafePointer<CChar>?] = [], offset = 0
            for string in strings {
                pointers.append(all.baseAddress.map { $0 + offset })
                offset += string.count
            }
            return body(pointers)
        }
    }

    private func label(_ name: String, _ object: String) -> String { "attribute \(name) of \(object)" }

    private func number<T: HDF5Scalar>(_ attribute: hid_t, _ name: String, _ object: String) throws(HDF5Error) -> T {
        guard let type = T.kind.numberTypes?.memory, var value = T(exactly: 0) else {
            throw mismatch(label(name, object), "a number", "\(T.kind)")
        }
        try check(withUnsafeMutablePointer(to: &value) { H5Aread(attribute, type, $0) }, "read", label(name, object))
        return value
    }

    /// Runs `body` with the open attribute, its type and what it is; nil when it does not exist.
    private func withAttribute<R>(
        _ name: String, _ object: String,
        _ body: (hid_t, hid_t, HDF5Info) throws(HDF5Error) -> R
    ) throws(HDF5Error) -> R? {
        try Library.locked { () throws(HDF5Error) in
            let owner = try openObject(object, nil), label = label(name, object)
            guard try check(Files.withBytes(name) { H5Aexists(owner.id, $0) }, "read", label) > 0 else { return nil }
            let attribute = Handle(try check(Files.withBytes(name) { H5Aopen(owner.id, $0, chdf5_H5P_DEFAULT()) }, "read", label))
            let type = Handle(try check(H5Aget_type(attribute.id), "read", label))
            let space = Handle(try check(H5Aget_space(attribute.id), "read", label))
            guard H5Sget_simple_extent_type(space.id) != H5S_NULL else { return nil }  // a name without a value: h5py's Empty
            let shape = try extents(space.id, label)
            let info = HDF5Info(
                shape: shape, kind: HDF5Kind(type: type.id),
                storedBytes: Int(clamping: H5Aget_storage_size(attribute.id)), count: try product(shape, 1, label))
            return try body(attribute.id, type.id, info)
        }
    }

    private func create(
        _ name: String, _ object: String, _ type: hid_t, _ shape: [Int],
        _ write: (hid_t) -> herr_t
    ) throws(HDF5Error) {
        try Library.locked { () throws(HDF5Error) in
            let owner = try openObject(object, nil), label = label(name, object)
            let space = try dataspace(shape, label)
            let attribute = Handle(
                try check(
                    H5Acreate2(owner.id, name, type, space.id, chdf5_H5P_DEFAULT(), chdf5_H5P_DEFAULT()),
                    "write", label))
            try check(write(attribute.id), "write", label)
        }
    }
}
