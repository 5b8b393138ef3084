import CHDF5
import Glibc
import Scratch
import Testing
@testable import HDF5

/// Files as a stranger could make them, made with the C library directly.
@Suite(.serialized) struct Hostile {
    private let scratch = Scratch()

    /// Makes a file with raw calls and opens it.
    private func made(_ name: String = "hostile.h5", _ fill: (hid_t) -> Void) throws -> HDF5File {
        try Library.locked { () throws(HDF5Error) in
            let id = H5Fcreate(scratch.file(name), 2, 0, 0)  // 2: H5F_ACC_TRUNC
            fill(id)
            H5Fclose(id)
        }
        return try HDF5File.open(scratch.file(name))
    }

    private func dataset(_ file: hid_t, _ name: String, _ type: hid_t, _ dims: [hsize_t], _ prepare: (hid_t) -> Void = { _ in }) {
        let space = dims.isEmpty ? H5Screate(H5S_NULL) : H5Screate_simple(Int32(dims.count), dims, nil)
        let properties = H5Pcreate(chdf5_H5P_DATASET_CREATE())
        prepare(properties)
        let dataset = H5Dcreate2(file, name, type, space, 0, properties, 0)
        #expect(dataset >= 0, "the test's own file")
        H5Dclose(dataset); H5Pclose(properties); H5Sclose(space)
    }

    private func refusal(_ file: HDF5File, _ name: String) -> String { message { _ = try file.read(name, as: Float.self) } ?? "read!" }

    @Test func notAFile() {
        #expect(message { _ = try HDF5File.open(scratch.file("absent.h5")) }?.contains("No such file") == true)
        #expect(message { _ = try HDF5File.open(scratch.path) }?.contains("got a folder") == true)
        #expect(message { _ = try HDF5File.open("/dev/zero") }?.contains("got a device or pipe") == true)
        scratch.put("text.h5", Array("not an HDF5 file at all".utf8))
        scratch.put("empty.h5", [])
        #expect(message { _ = try HDF5File.open(scratch.file("text.h5")) }?.contains("this is not an HDF5 file") == true)
        #expect(message { _ = try HDF5File.open(scratch.file("empty.h5")) }?.contains("this is not an HDF5 file") == true)
    }

    @Test func truncated() throws {
        try HDF5File.write(scratch.file("whole.h5")) { try $0.write("/g/x", (0..<500).map { Float($0) }, shape: [500]) }
        let whole = scratch.bytes("whole.h5")
        for size in stride(from: 0, to: whole.count, by: 97) {
            scratch.put("cut.h5", Array(whole.prefix(size)))
            #expect(message { _ = try HDF5File.openUntried(scratch.file("cut.h5")).read("/g/x", as: Float.self) } != nil)
        }
        scratch.put("cut.h5", Array(whole.prefix(whole.count - 1)))
        #expect(message { _ = try HDF5File.open(scratch.file("cut.h5")) }?.contains("cut short") == true)
    }

    @Test func damagedAnywhere() throws {
        try HDF5File.write(scratch.file("whole.h5")) { file in
            try file.write("/g/x", (0..<10).map { Float($0) }, shape: [2, 5])
            try file.setAttribute("names", of: "/g", ["text", "and more text"])
        }
        let whole = scratch.bytes("whole.h5")
        var refused = 0
        // Behind 2600: the heap's free space. Every opening of a strange file is a trial in a child process, so one byte in
        // five here; `make torture` damages ten thousand files.
        for index in whole.indices where index % 5 == 0 && index < 2600 || index % 80 == 0 {
            var bytes = whole
            bytes[index] ^= 0xff
            scratch.put("damaged.h5", bytes)
            if message({
                let file = try HDF5File.openUntried(scratch.file("damaged.h5"))  // our own format needs no copy that dies first
                _ = try file.read("/g/x", as: Float.self)
                _ = try file.stringsAttribute("names", of: "/g")
            }) != nil {
                refused += 1
            }
        }
        #expect(refused > 20)  // everything but elements and padding
    }

    @Test func links() throws {
        let file = try made { id in
            dataset(id, "x", chdf5_H5T_IEEE_F32LE(), [2])
            H5Gclose(H5Gcreate2(id, "g", 0, 0, 0))
            H5Lcreate_soft("/x", id, "inside", 0, 0)
            H5Lcreate_soft("../x", id, "dots", 0, 0)
            H5Lcreate_soft("/g", id, "group", 0, 0)
            H5Lcreate_hard(id, "x", id, "g/y", 0, 0)
            H5Lcreate_soft("/loop", id, "loop", 0, 0)
            H5Lcreate_soft("/nothing", id, "dangling", 0, 0)
            H5Lcreate_external("/etc/passwd", "/x", id, "outside", 0, 0)
            H5Lcreate_soft("/outside", id, "through", 0, 0)
            H5Lcreate_soft("outside/x", id, "further", 0, 0)
        }
        #expect(try file.read("inside", as: Float.self).values.count == 2)
        #expect(try file.read("group/y", as: Float.self).values.count == 2)
        #expect(try !file.exists("dangling") && !file.exists("dots"))
        #expect(refusal(file, "loop").contains("soft links in a row"))
        for name in ["outside", "through", "further", "outside/x"] {
            #expect(refusal(file, name).contains("link to another file"), "\(name)")
            #expect(message { _ = try file.exists(name) } != nil)
        }
        #expect(try file.children().contains("outside"))
    }

    @Test func elementsElsewhere() throws {
        let file = try made { id in
            dataset(id, "external", chdf5_H5T_IEEE_F32LE(), [4]) { H5Pset_external($0, "/etc/passwd", 0, 16) }
            let space = H5Screate_simple(1, [4], nil)
            dataset(id, "virtual", chdf5_H5T_IEEE_F32LE(), [4]) { H5Pset_virtual($0, space, "/tmp/other.h5", "x", space) }
            H5Sclose(space)
        }
        #expect(refusal(file, "external").contains("its elements are in another file"))
        #expect(refusal(file, "virtual").contains("virtual storage"))
    }

    @Test func declaredSizes() throws {
        let file = try made { id in
            dataset(id, "huge", chdf5_H5T_IEEE_F32LE(), [1 << 40])
            dataset(id, "sparse", chdf5_H5T_IEEE_F32LE(), [1 << 33]) { H5Pset_chunk($0, 1, [1024]) }
            dataset(id, "overflow", chdf5_H5T_IEEE_F32LE(), [1 << 31, 1 << 31, 1 << 31]) { H5Pset_chunk($0, 3, [8, 8, 8]) }
            dataset(id, "chunk", chdf5_H5T_IEEE_F32LE(), [1 << 29]) { H5Pset_chunk($0, 1, [1 << 29]) }
            let text = H5Tcopy(chdf5_H5T_C_S1())
            H5Tset_size(text, 1 << 30)
            dataset(id, "text", text, [1])
            H5Tset_size(text, chdf5_H5T_VARIABLE())
            dataset(id, "texts", text, [1 << 28]) { H5Pset_chunk($0, 1, [1024]) }
            H5Tclose(text)
            dataset(id, "small", chdf5_H5T_IEEE_F32LE(), [100]) { H5Pset_chunk($0, 1, [10]) }
        }
        #expect(refusal(file, "huge").contains("the whole file has"))
        #expect(refusal(file, "sparse").contains("are allowed here"))
        #expect(refusal(file, "overflow").contains("more than can be counted"))
        #expect(refusal(file, "chunk").contains("chunks of"))
        #expect(message { _ = try file.readString("text") }?.contains("the whole file has") == true)
        #expect(message { _ = try file.readStrings("texts") }?.contains("bytes of text") == true)
        #expect(message { _ = try file.read("small", as: Float.self, limit: 399) }?.contains("needs 400 bytes") == true)
        #expect(try file.read("small", as: Float.self, limit: 400).values.count == 100)
        #expect(try file.readRows("sparse", as: Float.self, from: 1 << 32, count: 3) == [0, 0, 0])
        #expect(message { _ = try file.readRows("small", as: Float.self, from: 99, count: 2) } != nil)
        #expect(message { _ = try file.readRows("small", as: Float.self, from: -1, count: 2) } != nil)
        #expect(message { _ = try file.readRows("small", as: Float.self, from: 1, count: .max) } != nil)
    }

    @Test func kindsAndShapes() throws {
        try HDF5File.write(scratch.file("kinds.h5")) { file in
            try file.write("float", [1.5, 2] as [Double], shape: [2])
            try file.write("int", [-1, 70_000] as [Int64], shape: [2])
            try file.write("big", [.max] as [UInt64], shape: [1])
            try file.write("matrix", [1, 2, 3, 4] as [Float], shape: [2, 2])
            try file.write("scalar", scalar: Float(1))
            try file.writeString("text", "hello")
        }
        let file = try HDF5File.open(scratch.file("kinds.h5"))
        #expect(try file.read("float", as: Float.self).values == [1.5, 2])
        #expect(try file.read("int", as: Int32.self).values == [-1, 70_000])
        #expect(message { _ = try file.read("float", as: Int32.self) }?.contains("expected elements of kind int32, got float64") == true)
        #expect(message { _ = try file.read("int", as: Float.self) }?.contains("got int64") == true)
        #expect(message { _ = try file.read("int", as: UInt16.self) }?.contains("-1 at index 0") == true)
        #expect(message { _ = try file.read("int", as: Int16.self) }?.contains("70000 at index 1") == true)
        #expect(message { _ = try file.read("big", as: Int64.self) }?.contains("18446744073709551615 at index 0") == true)
        #expect(message { _ = try file.read("text", as: UInt8.self) }?.contains("got string of 5 bytes") == true)
        #expect(message { _ = try file.readString("float") }?.contains("expected text") == true)
        #expect(
            message { _ = try file.read("matrix", as: Float.self, shape: [4]) }?.contains("expected rank 1, got rank 2, shape (2, 2)")
                == true)
        #expect(
            message { _ = try file.read("matrix", as: Float.self, shape: [-1, 3]) }?.contains("expected shape (any, 3), got (2, 2)") == true
        )
        #expect(message { _ = try file.readRows("scalar", as: Float.self, from: 0, count: 0) }?.contains("expected rows") == true)
    }

    @Test func oddTypesAndFilters() throws {
        let file = try made { id in
            dataset(id, "null", chdf5_H5T_IEEE_F32LE(), [])
            let compound = H5Tcreate(H5T_COMPOUND, 8)
            H5Tinsert(compound, "a", 0, chdf5_H5T_IEEE_F32LE())
            dataset(id, "compound", compound, [3])
            H5Tcommit2(id, "type", compound, 0, 0, 0)
            H5Tclose(compound)
            dataset(id, "filter", chdf5_H5T_IEEE_F32LE(), [8]) {
                H5Pset_chunk($0, 1, [4])
                H5Pset_filter($0, 32_015, UInt32(H5Z_FLAG_OPTIONAL), 0, nil)
            }
        }
        #expect(refusal(file, "null").contains("an empty dataspace"))
        #expect(refusal(file, "compound").contains("neither numbers nor text"))
        #expect(refusal(file, "type").contains("expected a dataset, got a named type"))
        #expect(refusal(file, "filter").contains("filter that is not built in (number 32015"))
        #expect(message { _ = try file.attributes(of: "type") }?.contains("a group or dataset") == true)
    }

    @Test func foreignText() throws {
        let file = try made { id in
            let ascii = H5Tcopy(chdf5_H5T_C_S1())
            H5Tset_size(ascii, 6)
            H5Tset_strpad(ascii, H5T_STR_SPACEPAD)
            let space = H5Screate(H5S_SCALAR)
            let attribute = H5Acreate2(id, "padded", ascii, space, 0, 0)
            H5Awrite(attribute, ascii, Array("abc   ".utf8))
            H5Aclose(attribute); H5Sclose(space); H5Tclose(ascii)
            dataset(
                id, "never-written",
                {
                    let t = H5Tcopy(chdf5_H5T_C_S1()); H5Tset_size(t, chdf5_H5T_VARIABLE()); return t
                }(), [2])
        }
        #expect(try file.stringAttribute("padded") == "abc")
        #expect(try file.readStrings("never-written") == ["", ""])
    }

    /// As h5py may write: a user block, the newest format that we read, big endian, filters.
    @Test func foreignStorage() throws {
        let path = scratch.file("foreign.h5"), values = (0..<12).map { Int32($0 * 1000 - 5) }
        try Library.locked { () throws(HDF5Error) in
            let creation = H5Pcreate(chdf5_H5P_FILE_CREATE()), access = H5Pcreate(chdf5_H5P_FILE_ACCESS())
            H5Pset_userblock(creation, 512)
            H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110)
            let id = H5Fcreate(path, 2, creation, access), big = H5Tcopy(chdf5_H5T_STD_I32LE())
            H5Tset_order(big, H5T_ORDER_BE)
            dataset(id, "x", big, [3, 4]) { properties in
                H5Pset_chunk(properties, 2, [2, 3])
                H5Pset_shuffle(properties)
                H5Pset_deflate(properties, 6)
                H5Pset_fletcher32(properties)
            }
            let x = H5Dopen2(id, "x", 0), text = H5Tcopy(chdf5_H5T_C_S1()), space = H5Screate(H5S_SCALAR)
            H5Dwrite(x, chdf5_H5T_NATIVE_INT32(), 0, 0, 0, values)
            H5Tset_size(text, chdf5_H5T_VARIABLE())
            let attribute = H5Acreate2(x, "layout", text, space, 0, 0)
            "NHWC".withCString { pointer in _ = H5Awrite(attribute, text, [pointer]) }
            H5Aclose(attribute); H5Sclose(space); H5Tclose(text); H5Tclose(big); H5Dclose(x); H5Fclose(id)
            H5Pclose(creation); H5Pclose(access)
        }
        let file = try HDF5File.open(path)
        #expect(try file.read("x", as: Int32.self, shape: [3, 4]).values == values)
        #expect(try file.readRows("x", as: Int64.self, from: 1, count: 2) == values.dropFirst(4).map { Int64($0) })
        #expect(try file.stringAttribute("layout", of: "x") == "NHWC")
    }

    @Test func errorsAreOneLine() throws {
        try HDF5File.write(scratch.file("line.h5")) { try $0.setAttribute("a\nb\u{1b}[31m", 1) }
        let file = try HDF5File.open(scratch.file("line.h5")), name = try file.attributes()[0]
        #expect(message { _ = try file.stringAttribute(name) }?.contains("attribute a b [31m of /: expected text") == true)
    }

    @Test func manyThreads() throws {
        let path = scratch.file("threads.h5")
        try HDF5File.write(path) { try $0.write("x", (0..<1000).map { Float($0) }, shape: [1000]) }
        final class Work { let path: String; var sum: Float = 0; init(_ path: String) { self.path = path } }
        let works = (0..<4).map { _ in Work(path) }
        let threads = works.map { work in
            var thread = pthread_t()
            pthread_create(
                &thread, nil,
                { context in
                    guard let context else { return nil }
                    let work = Unmanaged<Work>.fromOpaque(context).takeUnretainedValue()
                    for _ in 0..<50 {
                        work.sum = (try? HDF5File.open(work.path).read("x", as: Float.self).values.reduce(0, +)) ?? -1
                        _ = try? HDF5File.open("/nowhere.h5")
                    }
                    return nil
                }, Unmanaged.passUnretained(work).toOpaque())
            return thread
        }
        threads.forEach { pthread_join($0, nil) }
        #expect(works.map(\.sum) == [499_500, 499_500, 499_500, 499_500])
    }
}
