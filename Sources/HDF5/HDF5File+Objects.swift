import CHDF5
import Glibc

/// Names in a file. A name is resolved here, link by link, to a path of hard links only, which is what HDF5 gets to see:
/// soft links are followed inside the file, external and user-defined links (other files, other code) are refused.
extension HDF5File {
    /// Whether `name` leads to an object of the file. Throws `refused` when the way leads out of the file.
    public func exists(_ name: String) throws(HDF5Error) -> Bool {
        try Library.locked { () throws(HDF5Error) in try resolve(name) != nil }
    }

    /// Names of the links in a group, in the order of their bytes; links that lead out of the file are listed too.
    public func children(of group: String = "/") throws(HDF5Error) -> [String] {
        try Library.locked { () throws(HDF5Error) in
            let handle = try openObject(group, H5I_GROUP)
            var info = H5G_info_t()
            try check(H5Gget_info(handle.id, &info), "list", group)
            guard info.nlinks <= Self.mostChildren else {
                throw refused(group, "\(info.nlinks) links, at most \(Self.mostChildren) are read")
            }
            return try linkNames(handle.id, group)
        }
    }

    /// In one pass: asked for one by one, HDF5 sorts all names for each.
    private func linkNames(_ group: hid_t, _ object: String) throws(HDF5Error) -> [String] {
        final class Names { var all: [String] = [], longest = 0 }
        let names = Names()
        let status = chdf5_H5Literate(
            group,
            { name, context in
                guard let name, let context else { return 0 }
                let names = Unmanaged<Names>.fromOpaque(context).takeUnretainedValue(), length = strlen(name)
                names.longest = max(names.longest, length)
                if length <= HDF5File.longestName { names.all.append(Files.path(name)) }
                return names.all.count <= HDF5File.mostChildren ? 0 : 1
            }, Unmanaged.passUnretained(names).toOpaque())
        try check(status, "list", object)
        guard names.longest <= Self.longestName else { throw refused(object, "a name of \(names.longest) bytes in this group") }
        guard status == 0 else { throw refused(object, "more than \(Self.mostChildren) links") }
        return names.all
    }

    /// What tells the group or dataset `name` from all others of the file, by whatever links it was reached.
    public func identity(of name: String) throws(HDF5Error) -> UInt64 {
        try Library.locked { () throws(HDF5Error) in
            let object = try openObject(name, nil)
            return chdf5_identity(object.id)
        }
    }

    /// Makes the group `name` and the groups above it, where they do not exist.
    public func createGroup(_ name: String) throws(HDF5Error) {
        try Library.locked { () throws(HDF5Error) in
            var path = ""
            for part in Files.parts(name) {
                path += "/" + part
                if try resolve(path) != nil { continue }
                let properties = Handle(H5Pcreate(chdf5_H5P_GROUP_CREATE()))
                try check(H5Pset_obj_track_times(properties.id, false), "write", path)
                _ = Handle(try check(H5Gcreate2(id, path, chdf5_H5P_DEFAULT(), properties.id, chdf5_H5P_DEFAULT()), "write", path))
            }
        }
    }

    private static let mostChildren = 10_000, longestName = 4096, mostSoftLinks = 16

    /// The path of hard links that `name` stands for; nil when it leads to nothing.
    func resolve(_ name: String) throws(HDF5Error) -> String? {
        var pending = Array(Files.parts(name).reversed())
        var path = "", softLinks = 0
        while let part = pending.popLast() {
            if part == "." { continue }
            let next = path + "/" + part
            if !path.isEmpty, try kind(ofResolved: path) != H5I_GROUP { return nil }
            guard Files.withBytes(next, { H5Lexists(id, $0, chdf5_H5P_DEFAULT()) }) > 0 else { return nil }
            var targetSize = 0
            switch Files.withBytes(next, { chdf5_H5Lget_info(id, $0, &targetSize) }) {
            case 0: path = next
            case 1:
                softLinks += 1
                guard softLinks <= Self.mostSoftLinks else { throw refused(name, "more than \(Self.mostSoftLinks) soft links in a row") }
                let target = try softLinkTarget(next, targetSize)
                if target.hasPrefix("/") { path = "" }
                pending += Files.parts(target).reversed()
            case 64: throw refused(name, "\(next) is a link to another file; copy the data in")
            case let other:
                try check(other, "read", next)
                throw refused(name, "\(next) is a link of an unknown kind (\(other))")
            }
        }
        return path.isEmpty ? "/" : path
    }

    func softLinkTarget(_ link: String, _ size: Int) throws(HDF5Error) -> String {
        guard size <= Self.longestName else { throw refused(link, "a soft link of \(size) bytes") }
        var buffer = [CChar](repeating: 0, count: size + 1)  // HDF5 counts the ending zero; a hostile file may lack it
        try check(Files.withBytes(link) { H5Lget_val(id, $0, &buffer, size, chdf5_H5P_DEFAULT()) }, "read", link)
        return Files.path(buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
    }

    private func kind(ofResolved path: String) throws(HDF5Error) -> H5I_type_t {
        let object = Handle(try check(Files.withBytes(path) { H5Oopen(id, $0, chdf5_H5P_DEFAULT()) }, "open", path))
        return H5Iget_type(object.id)
    }

    /// Opens the object `name`. Throws `missing`, or `mismatch` when it is not of the wanted kind (nil: group or dataset).
    func openObject(_ name: String, _ wanted: H5I_type_t?) throws(HDF5Error) -> Handle {
        guard let path = try resolve(name) else { throw .missing(path: self.path, object: name) }
        let object = Handle(try check(Files.withBytes(path) { H5Oopen(id, $0, chdf5_H5P_DEFAULT()) }, "open", name))
        let kind = H5Iget_type(object.id)
        guard wanted.map({ $0 == kind }) ?? (kind == H5I_GROUP || kind == H5I_DATASET) else {
            let names = [H5I_GROUP.rawValue: "a group", H5I_DATASET.rawValue: "a dataset", H5I_DATATYPE.rawValue: "a named type"]
            throw mismatch(name, wanted.flatMap { names[$0.rawValue] } ?? "a group or dataset", names[kind.rawValue] ?? "something else")
        }
        return object
    }

    func refused(_ object: String, _ reason: String) -> HDF5Error { .refused(path: path, object: object, reason: reason) }

    func mismatch(_ object: String, _ expected: String, _ got: String) -> HDF5Error {
        .mismatch(path: path, object: object, expected: expected, got: got)
    }
}
