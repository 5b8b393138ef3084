import CHDF5
import CPlatform

/// What a dataset is, as its header says.
public struct HDF5Info: Hashable, Sendable {
    /// Extents, outermost first; empty for a scalar.
    public let shape: [Int]
    public let kind: HDF5Kind
    /// Bytes of the file that hold its elements.
    public let storedBytes: Int
    /// Number of elements.
    public let count: Int
}

/// A dataset whose declared sizes have been checked, so that memory can be taken for it.
struct OpenDataset: ~Copyable {
    let id: Handle
    let type: Handle
    let info: HDF5Info
    /// How many bytes of elements can come of one stored byte: 1 without filters.
    let expansion: Int
}

extension HDF5File {
    /// Extents of the dataset `name`, outermost first; empty for a scalar.
    public func shape(of name: String) throws(HDF5Error) -> [Int] { try info(of: name).shape }

    /// Shape, kind of elements and size of the dataset `name`; reads no elements.
    public func info(of name: String) throws(HDF5Error) -> HDF5Info {
        try Library.locked { () throws(HDF5Error) in
            let dataset = try openDataset(name)
            return dataset.info
        }
    }

    /// Whether `name` is a dataset; false when it is a group or missing.
    public func isDataset(_ name: String) throws(HDF5Error) -> Bool {
        try Library.locked { () throws(HDF5Error) in
            guard try resolve(name) != nil else { return false }
            let object = try openObject(name, nil)
            return H5Iget_type(object.id) == H5I_DATASET
        }
    }

    /// Opens a dataset and refuses what must not be read: other files' data, filters that are not there, sizes that
    /// overflow or that the file cannot hold.
    func openDataset(_ name: String) throws(HDF5Error) -> OpenDataset {
        let dataset = try openObject(name, H5I_DATASET)
        let type = Handle(try check(H5Dget_type(dataset.id), "read", name))
        let space = Handle(try check(H5Dget_space(dataset.id), "read", name))
        let shape = try extents(space.id, name)
        let properties = Handle(try check(H5Dget_create_plist(dataset.id), "read", name))
        let elementBytes = Int(clamping: H5Tget_size(type.id))
        let count = try product(shape, 1, name)
        let bytes = try product([count, elementBytes], 1, name)
        try checkStorage(properties.id, bytes, elementBytes, name)
        let isFiltered = H5Pget_nfilters(properties.id) > 0
        let info = HDF5Info(
            shape: shape, kind: HDF5Kind(type: type.id),
            storedBytes: Int(clamping: H5Dget_storage_size(dataset.id)), count: count)
        return OpenDataset(id: dataset, type: type, info: info, expansion: isFiltered ? Self.largestExpansion : 1)
    }

    /// Extents of a dataspace; throws for a null one and for extents beyond Int.
    func extents(_ space: hid_t, _ name: String) throws(HDF5Error) -> [Int] {
        switch H5Sget_simple_extent_type(space) {
        case H5S_SCALAR: return []
        case H5S_SIMPLE: break
        default: throw mismatch(name, "elements", "an empty dataspace")
        }
        let rank = Int(try check(H5Sget_simple_extent_ndims(space), "read", name))
        var extents = [hsize_t](repeating: 0, count: rank)
        try check(H5Sget_simple_extent_dims(space, &extents, nil), "read", name)
        guard extents.allSatisfy({ $0 <= hsize_t(Int.max) }) else { throw refused(name, "extents beyond 63 bits") }
        return extents.map { Int($0) }
    }

    /// `factor` times all extents; throws when that is beyond Int.
    func product(_ extents: [Int], _ factor: Int, _ name: String) throws(HDF5Error) -> Int {
        if extents.contains(0) { return 0 }
        var product = factor
        for extent in extents {
            let (next, overflow) = product.multipliedReportingOverflow(by: extent)
            guard !overflow else { throw refused(name, "declares \(extents) elements, more than can be counted") }
            product = next
        }
        return product
    }

    private func checkStorage(_ properties: hid_t, _ bytes: Int, _ elementBytes: Int, _ name: String) throws(HDF5Error) {
        guard H5Pget_external_count(properties) <= 0 else { throw refused(name, "its elements are in another file; copy them in") }
        switch H5Pget_layout(properties) {
        case H5D_CONTIGUOUS, H5D_COMPACT:
            guard fileSize == 0 || bytes <= fileSize else {
                throw refused(name, "declares \(bytes) bytes, the whole file has \(fileSize)")
            }
        case H5D_CHUNKED: try checkChunks(properties, elementBytes, name)
        default: throw refused(name, "virtual storage (elements of other datasets); copy them in")
        }
        for index in 0..<max(0, H5Pget_nfilters(properties)) { try checkFilter(properties, UInt32(index), name) }
    }

    /// Deflate makes at most 1032 bytes of one.
    private static let largestExpansion = 1100
    /// What is small enough to be taken without asking: 16 MiB.
    private static let small = 16 << 20

    /// Throws when `bytes` of memory for elements of `dataset` are more than `limit`, than its stored bytes can hold (chunks
    /// that were never written are filled in: a small file may declare any number of them), or than there is.
    func checkMemory(_ bytes: Int, _ dataset: borrowing OpenDataset, _ limit: Int, _ name: String) throws(HDF5Error) {
        guard bytes <= limit else { throw refused(name, "needs \(bytes) bytes of memory, at most \(limit) are allowed here") }
        guard bytes > Self.small else { return }
        let (possible, overflow) = dataset.info.storedBytes.multipliedReportingOverflow(by: dataset.expansion * 8)
        guard overflow || bytes <= possible else {
            throw refused(name, "declares \(bytes) bytes, of which the file stores \(dataset.info.storedBytes)")
        }
        var words: UnsafePointer<CChar>?
        let free = Int(free_memory(&words))
        guard free < 0 || bytes <= free else {
            throw refused(name, "needs \(bytes) bytes of memory, \(free) are left (\(words.map { String(cString: $0) } ?? ""))")
        }
    }

    /// HDF5 takes a whole chunk's memory even for one element of it: 512 MiB.
    static let largestChunk = 512 << 20

    private func checkChunks(_ properties: hid_t, _ elementBytes: Int, _ name: String) throws(HDF5Error) {
        var chunk = [hsize_t](repeating: 0, count: 33)  // HDF5's largest rank is 32
        let rank = Int(try check(H5Pget_chunk(properties, 32, &chunk), "read", name))
        let bytes = try product(chunk.prefix(rank).map { Int(clamping: $0) }, elementBytes, name)
        guard bytes <= Self.largestChunk else { throw refused(name, "chunks of \(bytes) bytes, at most \(Self.largestChunk) are read") }
    }

    private func checkFilter(_ properties: hid_t, _ index: UInt32, _ name: String) throws(HDF5Error) {
        var flags: UInt32 = 0, values = 0, settings: UInt32 = 0
        var title = [CChar](repeating: 0, count: 128)
        let filter = H5Pget_filter2(properties, index, &flags, &values, nil, title.count - 1, &title, &settings)
        try check(filter, "read", name)
        guard H5Zfilter_avail(filter) > 0 else {
            let known = String(decoding: title.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw refused(name, "compressed with a filter that is not built in (number \(filter) \(known)); store it plain or with gzip")
        }
    }
}
