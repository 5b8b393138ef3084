import CHDF5

/// An identifier of HDF5 that is given back at the end of the scope that holds it, inside `Library.locked`. Bind it to a
/// name before its `id` is used: a temporary's end comes before the call that takes the id.
struct Handle: ~Copyable {
    let id: hid_t

    init(_ id: hid_t) { self.id = id }

    deinit { H5Idec_ref(id) }  // releases every kind of identifier, unlike H5Dclose, H5Gclose, ...

    /// Gives the identifier back, for what is written only then: negative when that failed.
    consuming func close() -> Int32 {
        let status = H5Idec_ref(id)
        discard self
        return status
    }
}
