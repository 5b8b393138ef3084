import HDF5
import Scratch
import Testing
@testable import Datasets

@Suite struct DatasetFileTests {
    private let scratch = Scratch()
    private var path: String { scratch.file("data.h5") }

    private func set(_ count: Int, channels: Int = 3, side: Int = 32, classes: Int = 10) -> ImageSet {
        ImageSet(
            channels: channels, height: side, width: side, classes: classes,
            images: (0..<count * channels * side * side).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) },
            labels: (0..<count).map { UInt16($0 % classes) })
    }

    private func refusal(_ body: (HDF5File) throws -> Void) throws -> String {
        try HDF5File.write(path, body)
        return message { _ = try DatasetFile.readUnnamedSplit(path) } ?? "read!"
    }

    private func split(_ file: HDF5File, _ shape: [Int], labels: [Int64]) throws {
        try file.write("images", [UInt8](repeating: 1, count: shape.reduce(1, *)), shape: shape)
        try file.write("labels", labels, shape: [labels.count])
    }

    @Test(arguments: [(1, 28, 10), (3, 32, 10), (3, 32, 300), (3, 32, 1000)])
    func roundTrip(channels: Int, side: Int, classes: Int) throws {
        let data = Dataset(
            name: "name", classNames: (0..<classes).map { "class \($0)" }, source: "here",
            train: set(classes + 1, channels: channels, side: side, classes: classes),
            test: set(2, channels: channels, side: side, classes: classes))
        try DatasetFile.write(data, to: path)
        #expect(try DatasetFile.read(path) == data)
        #expect(try DatasetFile.read(path, verify: true) == data)
        #expect(
            message { _ = try DatasetFile.readUnnamedSplit(path) }?.contains("expected /images, got /train/images (this file is a data set")
                == true)
        let fm = UnnamedSplit(set: data.test, classNames: data.classNames, source: "there")
        try DatasetFile.write(fm, name: "fm", to: path)
        #expect(try DatasetFile.readUnnamedSplit(path) == fm)
        #expect(try DatasetFile.readUnnamedSplit(path, matching: data).set.classes == classes)
        #expect(
            message { _ = try DatasetFile.read(path) }?.contains("expected /train/images, got /images (this file is one unnamed split")
                == true)
    }

    @Test func filesWithoutAttributes() throws {
        let image = set(3)
        try HDF5File.write(path) { file in
            for group in ["/train", "/test"] {
                try file.write(group + "/images", image.images, shape: [3, 3, 32, 32])
                try file.write(group + "/labels", [0, 5, 2] as [Int64], shape: [3])
            }
        }
        let data = try DatasetFile.read(path)
        #expect(data.name == "data" && data.train.classes == 6 && data.classNames == ["0", "1", "2", "3", "4", "5"])
        #expect(try data.digest.utf8.count == 64 && data.digest == DatasetFile.read(path).digest)
    }

    @Test func channelsLast() throws {
        let image = set(2), plane = 32 * 32
        let last = (0..<2 * 3 * plane).map { i in image.images[i / (3 * plane) * 3 * plane + i % 3 * plane + i / 3 % plane] }
        for object in ["images", "/"] {
            try HDF5File.write(path) { file in
                try file.write("images", last, shape: [2, 32, 32, 3])
                try file.write("labels", image.labels, shape: [2])
                try file.setAttribute("layout", of: object, "NHWC")
            }
            let read = try DatasetFile.readUnnamedSplit(path)
            #expect(read.set.images == image.images && read.digest == Dataset.digest(of: [image]))
        }
        #expect(try refusal { try split($0, [2, 32, 32, 3], labels: [0, 1]) }.contains("set the attribute layout = \"NHWC\" on /images"))
        #expect(
            try refusal { file in
                try split(file, [2, 3, 32, 32], labels: [0, 1])
                try file.setAttribute("layout", "CHWN")
            }.contains("expected NCHW or NHWC, got CHWN"))
    }

    @Test func whatTheSchemaForbids() throws {
        #expect(try refusal { try split($0, [2, 28, 28], labels: [0, 1]) }.contains("expected rank 4 (N, C, H, W), got rank 3"))
        #expect(try refusal { try split($0, [2, 2, 28, 28], labels: [0, 1]) }.contains("expected 1 or 3 channels, got 2"))
        #expect(
            try refusal { try split($0, [2, 1, 28, 32], labels: [0, 1]) }.contains("expected images of 28x28 or 32x32 pixels, got 28x32"))
        #expect(try refusal { try split($0, [2, 1, 64, 64], labels: [0, 1]) }.contains("got 64x64"))
        #expect(try refusal { try split($0, [2, 1, 28, 28], labels: [0]) }.contains("expected shape (2), one for each image, got [1]"))
        #expect(try refusal { try split($0, [0, 1, 28, 28], labels: []) }.contains("expected at least one image"))
        #expect(try refusal { try split($0, [2, 1, 28, 28], labels: [0, -1]) }.contains("got -1 at index 1"))
        #expect(try refusal { try split($0, [2, 1, 28, 28], labels: [0, 1000]) }.contains("expected labels below 1000, got 1000"))
        #expect(try refusal { try split($0, [2, 1, 28, 28], labels: [0, 70_000]) }.contains("got 70000 at index 1"))
        #expect(
            try refusal {
                try $0.write("images", [Float](repeating: 0, count: 784), shape: [1, 1, 28, 28]);
                try $0.write("labels", [0] as [UInt8], shape: [1])
            }
            .contains("expected pixels of kind uint8, 0 to 255, got float32"))
        #expect(
            try refusal {
                try $0.write("images", [UInt8](repeating: 0, count: 784), shape: [1, 1, 28, 28]);
                try $0.write("labels", [0] as [Float], shape: [1])
            }
            .contains("labels: expected whole numbers from 0, got float32"))
        #expect(
            try refusal { try $0.write("images", [UInt8](repeating: 0, count: 784), shape: [1, 1, 28, 28]) }.contains(
                "/labels is not in this file"))
        #expect(try refusal { try $0.write("other", scalar: 1.0) }.contains("/images is not in this file"))
        #expect(
            try refusal {
                try split($0, [2, 1, 28, 28], labels: [0, 1]); try $0.setAttribute("class_names", ["one"])
            }
            .contains("expected 2 to 1000 names, got 1"))
        #expect(
            try refusal {
                try split($0, [2, 1, 28, 28], labels: [0, 2]); try $0.setAttribute("class_names", ["a", "b"])
            }
            .contains("expected labels below 2, the number of class_names, got 2"))
        #expect(
            try refusal {
                try split($0, [2, 1, 28, 28], labels: [0, 2]); try $0.setAttribute("format", "fedclamp-run")
            }
            .contains("attribute format of /: expected fedclamp-dataset, got fedclamp-run"))
        #expect(
            try refusal {
                try split($0, [2, 1, 28, 28], labels: [0, 2]); try $0.setAttribute("version", 2)
            }.contains("expected 1, got 2"))
        #expect(
            try refusal {
                try split($0, [2, 1, 28, 28], labels: [0, 2]); try $0.setAttribute("digest", "short")
            }.contains("64 hexadecimal digits"))
    }

    /// Where nothing says how many classes there are, labels from 1 would make the first class an empty one.
    @Test func labelsCountFromZero() throws {
        #expect(
            try refusal { try split($0, [2, 1, 28, 28], labels: [1, 10]) }.contains(
                "expected labels from 0, got 1 to 10 (if they count from 1"))
        #expect(
            try refusal {
                try split($0, [2, 1, 28, 28], labels: [1, 2]); try $0.setAttribute("class_names", ["a", "b"])
            }
            .contains("got 2 (if they count from 1"))
        #expect(
            try refusal {
                try split($0, [2, 1, 28, 28], labels: [1, 2]); try $0.setAttribute("class_names", ["a", "b", "c"])
            } == "read!")
        try HDF5File.write(path) { try split($0, [2, 1, 28, 28], labels: [1, 2]) }
        #expect(try DatasetFile.readUnnamedSplit(path, classes: 3).set.labels == [1, 2])
        #expect(message { _ = try DatasetFile.readUnnamedSplit(path, classes: 2) }?.contains("count from 1") == true)
    }

    @Test func oneHotAndColumns() throws {
        func labels(_ write: (HDF5File) throws -> Void) throws -> ImageSet {
            try HDF5File.write(path) { file in
                try file.write("images", [UInt8](repeating: 1, count: 3 * 784), shape: [3, 1, 28, 28])
                try write(file)
            }
            return try DatasetFile.readUnnamedSplit(path).set
        }
        #expect(try labels { try $0.write("labels", [2, 0, 1] as [Int64], shape: [3, 1]) }.labels == [2, 0, 1])
        let hot = try labels { try $0.write("labels", [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1] as [Float], shape: [3, 4]) }
        #expect(hot.labels == [1, 1, 3] && hot.classes == 4)
        #expect(
            message { _ = try labels { try $0.write("labels", [0, 1, 0.5, 0.5, 1, 0] as [Double], shape: [3, 2]) } }?
                .contains("/labels, row 1: expected one-hot: a single 1 among zeros, got 0.5 0.5") == true)
    }

    @Test func dataSetsMustHaveTwoMatchingSplits() throws {
        func refusal(test: [Int]?) throws -> String {
            try HDF5File.write(path) { file in
                for (group, shape) in [("/train", [2, 1, 28, 28]), ("/test", test ?? [])] where !shape.isEmpty {
                    try file.write(group + "/images", [UInt8](repeating: 1, count: shape.reduce(1, *)), shape: shape)
                    try file.write(group + "/labels", [0, 1] as [UInt8], shape: [2])
                }
            }
            return message { _ = try DatasetFile.read(path) } ?? "read!"
        }
        #expect(try refusal(test: nil).contains("/test: expected images and labels, got only the split /train"))
        #expect(try refusal(test: [2, 3, 32, 32]).contains("expected images of (1, 28, 28) as in /train, got (3, 32, 32)"))
        #expect(try refusal(test: [2, 1, 28, 28]) == "read!")
    }

    @Test func fmDataMustMatchTheDataSet() throws {
        let data = Dataset(name: "d", classNames: ["a", "b", "c"], source: "", train: set(3, classes: 3), test: set(3, classes: 3))
        func refusal(_ fm: ImageSet) throws -> String {
            try DatasetFile.write(UnnamedSplit(set: fm), name: "fm", to: path)
            return message { _ = try DatasetFile.readUnnamedSplit(path, matching: data) } ?? "read!"
        }
        #expect(try refusal(set(2, channels: 1, side: 28)).contains("expected images of (3, 32, 32) as in d, got (1, 28, 28)"))
        #expect(try refusal(set(4, classes: 4)).contains("/labels: expected at most the 3 classes of d, got 4"))
        #expect(try refusal(set(2, classes: 2)) == "read!")
        #expect(try DatasetFile.readUnnamedSplit(path, matching: data).set.classes == 3)
    }

    @Test func changedImagesAreFoundOnRequest() throws {
        let good = UnnamedSplit(set: set(2))
        try DatasetFile.write(UnnamedSplit(set: set(3), digest: good.digest), name: "x", to: path)
        #expect(try DatasetFile.readUnnamedSplit(path).digest == good.digest)
        #expect(
            message { _ = try DatasetFile.readUnnamedSplit(path, verify: true) }?.contains("were changed after the file was written")
                == true)
    }

    @Test func subsets() {
        let all = set(5), some = all.subset([4, 1])
        #expect(some.labels == [4, 1] && some.images == Array(all.images[4 * 3072..<5 * 3072]) + all.images[3072..<2 * 3072])
        #expect(all.subset([]).count == 0 && all.classCounts == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0])
    }
}
