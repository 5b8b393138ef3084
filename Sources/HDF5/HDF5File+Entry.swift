import CHDF5

/// What a name of a group leads to. Whoever lists a file tells of each, also of what is not read.
public enum HDF5Entry: Equatable, Sendable {
    case group
    case dataset(HDF5Info)
    /// A committed datatype.
    case namedType(HDF5Kind)
    /// A dataset without a dataspace: h5py's `Empty`.
    case empty(HDF5Kind)
    /// A soft link to nothing, and what it names.
    case dangling(target: String)
    /// What is not followed or read, and why.
    case refused(reason: String)
}

extension HDF5File {
    /// What the link `name` leads to. Throws for a name that is not in the file.
    public func entry(_ name: String) throws(HDF5Error) -> HDF5Entry {
        try Library.locked { () throws(HDF5Error) in
            do throws(HDF5Error) {
                guard let path = try resolve(name) else {
                    guard let target = try danglingTarget(name) else { throw .missing(path: self.path, object: name) }
                    return .dangling(target: target)
                }
                return try entry(ofResolved: path, name)
            } catch {
                guard case .refused(_, _, let reason) = error else { throw error }
                return .refused(reason: reason)
            }
        }
    }

    private func entry(ofResolved path: String, _ name: String) throws(HDF5Error) -> HDF5Entry {
        let object = Handle(try check(Files.withBytes(path) { H5Oopen(id, $0, chdf5_H5P_DEFAULT()) }, "open", name))
        switch H5Iget_type(object.id) {
        case H5I_GROUP: return .group
        case H5I_DATATYPE: return .namedType(HDF5Kind(type: object.id))
        case H5I_DATASET:
            let space = Handle(try check(H5Dget_space(object.id), "read", name))
            guard H5Sget_simple_extent_type(space.id) != H5S_NULL else {
                let type = Handle(try check(H5Dget_type(object.id), "read", name))
                return .empty(HDF5Kind(type: type.id))
            }
            return .dataset(try openDataset(name).info)
        default: return .refused(reason: "an object of an unknown kind")
        }
    }

    /// What the soft link `name` names; nil where `name` is none.
    private func danglingTarget(_ name: String) throws(HDF5Error) -> String? {
        let parts = Files.split(name)
        guard let group = try resolve(parts.folder) else { return nil }
        let link = (group == "/" ? "" : group) + "/" + parts.name
        var size = 0
        guard Files.withBytes(link, { H5Lexists(id, $0, chdf5_H5P_DEFAULT()) }) > 0,
            Files.withBytes(link, { chdf5_H5Lget_info(id, $0, &size) }) == 1
        else { return nil }
        return try softLinkTarget(link, size)
    }
}
