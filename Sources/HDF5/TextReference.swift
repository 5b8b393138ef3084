import CHDF5

/// What stands in a dataset for a text of any length, which lies elsewhere: see `VariableText.swift`.
enum TextReference {
    /// A reference: length (4 bytes), address of a collection (8), index in it (4); little endian.
    static let bytes = 16

    /// Teaches HDF5 to convert texts of any length to 16 opaque bytes by leaving them alone.
    static func register() {
        let text = Handle(H5Tcopy(chdf5_H5T_C_S1())), opaque = Handle(H5Tcreate(H5T_OPAQUE, bytes))
        H5Tset_size(text.id, chdf5_H5T_VARIABLE())
        H5Tregister(H5T_PERS_SOFT, "text references", text.id, opaque.id) { _, target, conversion, _, _, _, _, _, _ in
            guard let conversion else { return -1 }
            conversion.pointee.need_bkg = H5T_BKG_NO
            let sizesAgree = conversion.pointee.command != H5T_CONV_INIT || H5Tget_size(target) == 16
            return sizesAgree ? 0 : -1
        }
    }
}
