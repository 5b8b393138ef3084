import CHDF5

extension HDF5File {
    /// All elements of the dataset `name`, in row order, and its shape.
    ///
    /// Integers are converted between widths, each value checked; floats between precisions; never one into the other.
    /// - Parameters:
    ///   - expected: the shape that the dataset must have; -1 stands for any extent, nil for any shape.
    ///   - limit: bytes that the elements may take in memory; a dataset that declares more is refused.
    /// - Throws: `missing`, `mismatch` (kind, shape, a value that does not fit), `refused` (see `openDataset`), `library`.
    public func read<T: HDF5Scalar>(
        _ name: String, as type: T.Type = T.self, shape expected: [Int]? = nil,
        limit: Int = HDF5File.defaultLimit
    ) throws(HDF5Error) -> (values: [T], shape: [Int]) {
        try Library.locked { () throws(HDF5Error) in
            let dataset = try openDataset(name)
            try require(dataset.info.shape, expected, name)
            return (try elements(dataset, nil, limit, name), dataset.info.shape)
        }
    }

    /// `count` rows (indices of the first axis) from row `first` on, in row order. As `read` otherwise.
    public func readRows<T: HDF5Scalar>(
        _ name: String, as type: T.Type = T.self, from first: Int, count: Int,
        limit: Int = HDF5File.defaultLimit
    ) throws(HDF5Error) -> [T] {
        try Library.locked { () throws(HDF5Error) in
            let dataset = try openDataset(name)
            guard let rows = dataset.info.shape.first else { throw mismatch(name, "rows", "a scalar") }
            guard first >= 0, count >= 0, first <= rows, count <= rows - first else {
                throw mismatch(name, "rows \(first) to \(first) + \(count)", "\(rows) rows")
            }
            return try elements(dataset, first..<first + count, limit, name)
        }
    }

    private func require(_ shape: [Int], _ expected: [Int]?, _ name: String) throws(HDF5Error) {
        guard let expected else { return }
        guard shape.count == expected.count else {
            throw mismatch(name, "rank \(expected.count)", "rank \(shape.count), shape \(text(shape))")
        }
        guard zip(shape, expected).allSatisfy({ $0 == $1 || $1 == -1 }) else {
            throw mismatch(name, "shape \(text(expected))", text(shape))
        }
    }

    private func text(_ shape: [Int]) -> String {
        "(" + shape.map { $0 == -1 ? "any" : String($0) }.joined(separator: ", ") + ")"
    }

    /// Elements of all rows or of `rows` (rank 1 or more), converted to T.
    private func elements<T: HDF5Scalar>(
        _ dataset: borrowing OpenDataset, _ rows: Range<Int>?, _ limit: Int,
        _ name: String
    ) throws(HDF5Error) -> [T] {
        guard let conversion = dataset.info.kind.conversion(to: T.kind) else {
            throw mismatch(name, "elements of kind \(T.kind)", "\(dataset.info.kind)")
        }
        switch conversion {
        case .direct: return try raw(dataset, rows, limit, name)
        case .checkedSigned: return try narrowed(try raw(dataset, rows, limit, name) as [Int64], name)
        case .checkedUnsigned: return try narrowed(try raw(dataset, rows, limit, name) as [UInt64], name)
        }
    }

    private func narrowed<T: HDF5Scalar, Wide: BinaryInteger>(_ values: [Wide], _ name: String) throws(HDF5Error) -> [T] {
        var result: [T] = []
        result.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            guard let exact = T(exactly: value) else { throw mismatch(name, "values of \(T.kind)", "\(value) at index \(index)") }
            result.append(exact)
        }
        return result
    }

    private func raw<T: HDF5Scalar>(
        _ dataset: borrowing OpenDataset, _ rows: Range<Int>?, _ limit: Int,
        _ name: String
    ) throws(HDF5Error) -> [T] {
        var shape = dataset.info.shape
        if let rows { shape[0] = rows.count }
        let count = try product(shape, 1, name), bytes = try product([count], MemoryLayout<T>.stride, name)
        try checkMemory(bytes, dataset, limit, name)
        guard count > 0 else { return [] }
        let file = Handle(try check(H5Dget_space(dataset.id.id), "read", name))
        if let rows { try select(rows, of: shape, in: file.id, name) }
        let memory = try dataspace(shape, name)  // of the file's rank: HDF5 copies chunks slowly where ranks differ
        guard let type = T.kind.numberTypes?.memory else { throw mismatch(name, "numbers", "\(T.kind)") }
        var status: herr_t = 0
        let values = [T](unsafeUninitializedCapacity: count) { buffer, initialized in
            status = H5Dread(dataset.id.id, type, memory.id, file.id, chdf5_H5P_DEFAULT(), buffer.baseAddress)
            initialized = status < 0 ? 0 : count
        }
        try check(status, "read", name)
        return values
    }

    private func select(_ rows: Range<Int>, of shape: [Int], in space: hid_t, _ name: String) throws(HDF5Error) {
        var start = [hsize_t](repeating: 0, count: shape.count)
        start[0] = hsize_t(rows.lowerBound)
        try check(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, nil, shape.map { hsize_t($0) }, nil), "read", name)
    }
}
