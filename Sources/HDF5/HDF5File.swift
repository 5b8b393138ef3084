import CHDF5
import Glibc

/// An HDF5 file, open for reading (`open`) or being written (`write`). All functions may be called from any thread.
/// Files are taken for hostile: see `HDF5File+Objects.swift` for what is refused.
public final class HDF5File: @unchecked Sendable {
    /// Bytes in memory that one `read` may take when the caller does not say: 4 GiB.
    public static let defaultLimit = 4 << 30

    /// As given by the caller; for a file being written, the final name.
    public let path: String
    /// Bytes of the file when it was opened; 0 while it is written.
    let fileSize: Int
    private(set) var id: hid_t

    private init(path: String, fileSize: Int, id: hid_t) {
        (self.path, self.fileSize, self.id) = (path, fileSize, id)
    }

    deinit { try? close() }  // a reader has nothing to lose; writers are closed, and checked, by `write`

    /// Opens the file at `path` read-only. Throws when it is missing, no regular file, no HDF5 file or cut short.
    /// A file that HDF5 would die of is refused: see `FileProbe`.
    public static func open(_ path: String) throws(HDF5Error) -> HDF5File {
        _ = try regularFileSize(path)
        return try Library.locked { () throws(HDF5Error) in
            try FileProbe.pass(path) { try? openUntried($0).readEverything() }
            return try openUntried(path)
        }
    }

    static func openUntried(_ path: String) throws(HDF5Error) -> HDF5File {
        let size = try regularFileSize(path)
        return try Library.locked { () throws(HDF5Error) in
            let access = try accessProperties(path)  // no bounds on the format: h5py writes newer ones with libver="latest"
            let flags = chdf5_H5F_ACC_RDONLY(), id = Files.withBytes(path) { H5Fopen($0, flags, access.id) }
            try check(id, "open", path)
            return HDF5File(path: path, fileSize: size, id: id)
        }
    }

    /// Makes the file at `path`, or replaces it, as one step: `body` fills a temporary file in the same folder, which is
    /// synced to the disk and renamed. When `body` or anything else throws, the temporary is removed and `path` is as before.
    /// Equal content gives equal files: no times are stored, and the format is fixed to HDF5 1.8's, which every library
    /// since reads and which has checksums on its metadata.
    public static func write(_ path: String, _ body: (HDF5File) throws -> Void) throws {
        let target = try Replacement(path)
        do {
            let file = try create(target.temporary, for: path)
            do { try body(file) } catch {
                try? file.close()  // the body's error is the one to tell
                throw error
            }
            try file.flush()
            try file.close()
            try target.commit()
        } catch {
            target.discard()
            throw error
        }
    }

    /// Writes a file that nobody needs once this process is gone: in place, unsynced. Removed where `body` throws.
    public static func writeUnsynced(_ path: String, _ body: (HDF5File) throws -> Void) throws {
        let file = try create(path, for: path)
        do {
            try body(file)
            try file.close()
        } catch {
            try? file.close()  // the body's error is the one to tell
            Files.unlink(path)
            throw error
        }
    }

    private static func create(_ temporary: String, for path: String) throws(HDF5Error) -> HDF5File {
        try Library.locked { () throws(HDF5Error) in
            let access = try accessProperties(path)
            try check(H5Pset_libver_bounds(access.id, H5F_LIBVER_V18, H5F_LIBVER_V18), "prepare", path)
            let creation = Handle(H5Pcreate(chdf5_H5P_FILE_CREATE()))
            try check(H5Pset_obj_track_times(creation.id, false), "prepare", path)
            let flags = chdf5_H5F_ACC_EXCL(), id = Files.withBytes(temporary) { H5Fcreate($0, flags, creation.id, access.id) }
            try check(id, "create", path)
            return HDF5File(path: path, fileSize: 0, id: id)
        }
    }

    /// Everything closes with the file; no lock files, which fail on network file systems and are not needed
    /// where files are only ever renamed into place.
    private static func accessProperties(_ path: String) throws(HDF5Error) -> Handle {
        let access = Handle(H5Pcreate(chdf5_H5P_FILE_ACCESS()))
        try check(H5Pset_fclose_degree(access.id, H5F_CLOSE_STRONG), "prepare", path)
        try check(H5Pset_file_locking(access.id, false, true), "prepare", path)
        return access
    }

    private func flush() throws(HDF5Error) {
        try Library.locked { () throws(HDF5Error) in
            _ = try Self.check(H5Fflush(id, H5F_SCOPE_GLOBAL), "write", path)
        }
    }

    private func close() throws(HDF5Error) {
        try Library.locked { () throws(HDF5Error) in
            guard id >= 0 else { return }
            let closing = id
            id = -1
            try Self.check(H5Fclose(closing), "write", path)
        }
    }

    /// Throws HDF5's own words when `status` is negative. `object` is "/" for the file as a whole.
    @discardableResult
    static func check<N: SignedInteger>(
        _ status: N, _ operation: String, _ path: String,
        _ object: String = "/"
    ) throws(HDF5Error) -> N {
        guard status >= 0 else {
            throw .library(path: path, object: object, operation: operation, library: Library.errorStack())
        }
        return status
    }

    @discardableResult
    func check<N: SignedInteger>(_ status: N, _ operation: String, _ object: String) throws(HDF5Error) -> N {
        try Self.check(status, operation, path, object)
    }
}
