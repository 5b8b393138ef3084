import Glibc
import Scratch
import Testing
@testable import HDF5

@Suite struct RoundTrip {
    private let scratch = Scratch()

    private func checkScalar<T: HDF5Scalar & Equatable>(_ values: [T]) throws {
        let path = scratch.file("scalar.h5")
        try HDF5File.write(path) { file in
            try file.write("/a/b/values", values, shape: [values.count / 2, 2])
            try file.write("one", scalar: values[0])
        }
        let file = try HDF5File.open(path)
        let read = try file.read("a/b/values", as: T.self, shape: [-1, 2])
        #expect(read.values == values && read.shape == [values.count / 2, 2])
        #expect(try file.read("one", as: T.self, shape: []).values == [values[0]])
        #expect(try file.readRows("/a/b/values", as: T.self, from: 1, count: 1) == Array(values[2..<4]))
        #expect(try file.readRows("/a/b/values", as: T.self, from: 2, count: 0).isEmpty)
        #expect(try file.info(of: "one").kind == T.kind)
    }

    @Test func everyNumber() throws {
        try checkScalar([0, 1, 127, .max] as [UInt8])
        try checkScalar([0, 1, 256, .max] as [UInt16])
        try checkScalar([0, 1, 1 << 20, .max] as [UInt32])
        try checkScalar([0, 1, 1 << 40, .max] as [UInt64])
        try checkScalar([-128, 127, 0, -1] as [Int8])
        try checkScalar([.min, .max, 0, -1] as [Int16])
        try checkScalar([.min, .max, 0, -1] as [Int32])
        try checkScalar([.min, .max, 0, -1] as [Int64])
        try checkScalar([-0.5, .infinity, .leastNonzeroMagnitude, 3.25] as [Float])
        try checkScalar([-0.5, -.infinity, .leastNonzeroMagnitude, 1e300] as [Double])
    }

    @Test func textAndAttributes() throws {
        let path = scratch.file("text.h5"), long = String(repeating: "{\"ключ\": 1}", count: 20_000)
        try HDF5File.write(path) { file in
            try file.createGroup("/config/deep")
            try file.writeString("/config/json", long)
            try file.writeStrings("names", ["a", "", "größer"])
            try file.writeString("empty", "")
            try file.setAttribute("name", "Fashion-MNIST")
            try file.setAttribute("long", long)
            try file.setAttribute("nothing", of: "/config", "")
            try file.setAttribute("class_names", of: "/config/deep", ["T-shirt/top", "été", ""])
            try file.setAttribute("no_names", of: "/config", [String]())
            try file.setAttribute("count", of: "names", -7)
            try file.setAttribute("rate", 0.1)
        }
        let file = try HDF5File.open(path)
        #expect(try file.readString("/config/json") == long)
        #expect(try file.readStrings("names") == ["a", "", "größer"])
        #expect(try file.readString("empty") == "")
        #expect(try file.stringAttribute("name") == "Fashion-MNIST")
        #expect(try file.stringAttribute("long") == long)
        #expect(try file.stringAttribute("nothing", of: "config") == "")
        #expect(try file.stringsAttribute("class_names", of: "config/deep") == ["T-shirt/top", "été", ""])
        #expect(try file.stringsAttribute("no_names", of: "/config") == [])
        #expect(try file.intAttribute("count", of: "names") == -7)
        #expect(try file.doubleAttribute("count", of: "names") == -7)
        #expect(try file.doubleAttribute("rate") == 0.1)
        #expect(try file.stringAttribute("absent") == nil)
        #expect(try file.intAttribute("absent") == nil)
        #expect(try file.doubleAttribute("absent") == nil)
        #expect(try file.attributes() == ["long", "name", "rate"])
        #expect(try file.children() == ["config", "empty", "names"])
        #expect(try file.children(of: "config") == ["deep", "json"])
        #expect(message { _ = try file.intAttribute("name") }?.contains("attribute name of /: expected one whole number") == true)
        #expect(message { _ = try file.stringAttribute("rate") }?.contains("expected text, got float64") == true)
    }

    @Test func emptyAndMissing() throws {
        let path = scratch.file("empty.h5")
        try HDF5File.write(path) { try $0.write("none", [Float](), shape: [0, 3]) }
        let file = try HDF5File.open(path)
        #expect(try file.read("none", as: Float.self).shape == [0, 3])
        #expect(try file.exists("none") && file.exists("/") && !file.exists("none/below") && !file.exists("x/y"))
        #expect(try file.isDataset("none") && !file.isDataset("/") && !file.isDataset("x"))
        #expect(message { _ = try file.read("x", as: Float.self) }?.contains("x is not in this file") == true)
        #expect(message { _ = try file.read("/", as: Float.self) }?.contains("expected a dataset, got a group") == true)
        #expect(message { _ = try file.children(of: "none") }?.contains("expected a group, got a dataset") == true)
    }

    @Test func equalContentGivesEqualBytes() throws {
        for name in ["1.h5", "2.h5"] {
            try HDF5File.write(scratch.file(name)) { file in
                try file.write("/group/values", (0..<1000).map { Float($0) }, shape: [10, 100])
                try file.setAttribute("text", of: "/group", ["x", "y"])
            }
            if name == "1.h5" { sleep(1) }  // a stored time would differ
        }
        #expect(!scratch.bytes("1.h5").isEmpty && scratch.bytes("1.h5") == scratch.bytes("2.h5"))
    }

    @Test func aFailedWriteLeavesWhatWasThere() throws {
        struct Stop: Error {}
        let path = scratch.file("kept.h5")
        try HDF5File.write(path) { try $0.write("x", scalar: 1.5) }
        #expect(throws: Stop.self) {
            try HDF5File.write(path) { file in
                try file.write("x", scalar: 2.5)
                throw Stop()
            }
        }
        #expect(try HDF5File.open(path).read("x", as: Double.self).values == [1.5])
        #expect(message { try HDF5File.write(path) { try $0.write("x", [1.0], shape: [2]) } } != nil)
        #expect(
            message {
                try HDF5File.write(path) {
                    try $0.write("x", scalar: 1.0); try $0.write("x", scalar: 1.0)
                }
            }?.contains("HDF5 says") == true)
        try HDF5File.write(path) { try $0.write("x", scalar: 3.5) }
        #expect(try HDF5File.open(path).read("x", as: Double.self).values == [3.5])
        #expect(scratch.names() == ["kept.h5"])
    }

    @Test func whereWritingIsRefused() throws {
        #expect(message { try HDF5File.write("/dev/null") { _ in } }?.contains("expected a regular file") == true)
        #expect(message { try HDF5File.write(scratch.path) { _ in } }?.contains("got a folder") == true)
        #expect(message { try HDF5File.write(scratch.file("no/such/x.h5")) { _ in } } != nil)
        symlink("kept.h5", scratch.file("link.h5"))
        try HDF5File.write(scratch.file("kept.h5")) { try $0.write("x", scalar: 1.0) }
        try HDF5File.write(scratch.file("link.h5")) { try $0.write("x", scalar: 2.0) }
        #expect(try HDF5File.open(scratch.file("kept.h5")).read("x", as: Double.self).values == [2])
    }
}
