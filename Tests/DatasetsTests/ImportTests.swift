import CZlib
import Glibc
import Scratch
import Testing
@testable import Datasets

@Suite struct ImportTests {
    private let scratch = Scratch()

    private func big(_ value: Int) -> [UInt8] {
        [UInt8(value >> 24 & 255), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
    }

    private func idx(_ extents: [Int], _ bytes: [UInt8]) -> [UInt8] { [0, 0, 8, UInt8(extents.count)] + extents.flatMap(big) + bytes }

    private func pixels(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }

    private func gzip(_ bytes: [UInt8]) -> [UInt8] {
        var stream = z_stream(), input = bytes, output = [UInt8](repeating: 0, count: bytes.count + 1000)
        #expect(czlib_deflateInit2_gzip(&stream) == Z_OK)
        let size = input.withUnsafeMutableBufferPointer { source in
            output.withUnsafeMutableBufferPointer { target in
                stream.next_in = source.baseAddress; stream.avail_in = uInt(source.count)
                stream.next_out = target.baseAddress; stream.avail_out = uInt(target.count)
                #expect(deflate(&stream, Z_FINISH) == Z_STREAM_END)
                return target.count - Int(stream.avail_out)
            }
        }
        deflateEnd(&stream)
        return Array(output.prefix(size))
    }

    /// Four good IDX files: 3 training images, 2 test images.
    private func putIDX(packed: Bool) {
        for (prefix, labels) in [("train", [0, 9, 4] as [UInt8]), ("t10k", [1, 2])] {
            let images = idx([labels.count, 28, 28], pixels(labels.count * 784)), end = packed ? ".gz" : ""
            let tags = idx([labels.count], labels)
            scratch.put("\(prefix)-images-idx3-ubyte\(end)", packed ? gzip(images) : images)
            scratch.put("\(prefix)-labels-idx1-ubyte\(end)", packed ? gzip(tags) : tags)
        }
    }

    private func refusal(_ kind: DatasetKind = .mnist) -> String {
        message { _ = try importDataset(kind, from: scratch.path) } ?? "imported!"
    }

    @Test(arguments: [true, false]) func readsIDX(packed: Bool) throws {
        putIDX(packed: packed)
        for kind in [DatasetKind.mnist, .fashionMNIST] {
            let imported = try importDataset(kind, from: scratch.path), data = imported.dataset
            #expect(data.train.images == pixels(3 * 784) && data.train.labels == [0, 9, 4] && data.test.labels == [1, 2])
            #expect([data.train.channels, data.train.height, data.train.width, data.train.classes] == [1, 28, 28, 10])
            #expect(data.classNames.count == 10 && data.name == "idx-images" && data.source.contains("source unknown"))
            #expect(imported.departs == "train-images-idx3-ubyte")
        }
        #expect(try importDataset(.fashionMNIST, from: scratch.path).dataset.classNames[9] == "Ankle boot")
    }

    @Test func refusesBadIDX() {
        putIDX(packed: false)
        func with(_ name: String, _ bytes: [UInt8], says text: String) {
            let good = scratch.bytes(name)
            scratch.put(name, bytes)
            #expect(refusal().contains(text), "\(refusal())")
            scratch.put(name, good)
        }
        let images = "train-images-idx3-ubyte", labels = "t10k-labels-idx1-ubyte", good = scratch.bytes("train-images-idx3-ubyte")
        with(images, [], says: "expected an IDX header 00 00 08 03")
        with(images, [0, 0, 8, 1] + good.dropFirst(4), says: "got 00 00 08 01")
        with(images, Array(good.dropLast()), says: "expected 2368 bytes for extents [3, 28, 28], got 2367 bytes")
        with(images, good + [0], says: "size: expected 2368 bytes for extents [3, 28, 28], got")
        with(images, idx([3, 27, 28], pixels(3 * 27 * 28)), says: "expected 28x28, got 27x28")
        with(images, idx([1 << 31, 1 << 31, 1 << 31], []), says: "expected at most 268435456 bytes, got extents")
        with(images, idx([0, 28, 28], []), says: "and not 0")
        with(labels, idx([3], [1, 2, 3]), says: "number of labels: expected 2")
        with(labels, idx([2], [1, 10]), says: "label 1: expected 0 to 9, got 10")
        unlink(scratch.file(labels))
        #expect(refusal().contains("expected t10k-labels-idx1-ubyte.gz, t10k-labels-idx1-ubyte, found none of that name (four files"))
    }

    @Test func refusesBadGzip() {
        putIDX(packed: true)
        let name = "train-images-idx3-ubyte.gz", good = scratch.bytes("train-images-idx3-ubyte.gz")
        func with(_ bytes: [UInt8], says text: String) {
            scratch.put(name, bytes)
            #expect(refusal().contains(text), "\(refusal())")
        }
        with(Array(good.dropLast(9)), says: "size: expected 2368 bytes")
        with(Array(good.dropLast(1)), says: "size: expected 2368 bytes")
        var wrongSum = good
        wrongSum[good.count - 5] ^= 1
        with(wrongSum, says: "zlib error -3")
        with([0x1f, 0x8b, 8, 0], says: "expected an IDX header")
        with(gzip(idx([3, 28, 28], [UInt8](repeating: 0, count: 10_000_000))), says: "got more")  // a bomb of 1000 to 1
        with(gzip(idx([300_000, 28, 28], [1, 2, 3])), says: "expected 235200016 bytes for extents [300000, 28, 28], got 19 bytes")
    }

    /// As parallel gzip packs: every member has its own check sum, and tapes fill up with zeros.
    @Test func readsSeveralMembers() throws {
        putIDX(packed: true)
        let name = "train-images-idx3-ubyte.gz", whole = try importDataset(.mnist, from: scratch.path).dataset
        let bytes = idx([3, 28, 28], pixels(3 * 784))
        for cut in [1, 5, 16, 17, 1000, bytes.count - 1, bytes.count] {
            scratch.put(name, gzip(Array(bytes[..<cut])) + gzip([]) + gzip(Array(bytes[cut...])) + [0, 0, 0])
            #expect(try importDataset(.mnist, from: scratch.path).dataset == whole)
        }
        for (end, words) in [([0x1f, 0x8b], "size: expected 2368 bytes"), ([1], "1 other bytes behind its end"), (gzip([7]), "got more")]
            as [([UInt8], String)]
        {
            scratch.put(name, gzip(bytes) + end)
            #expect(refusal().contains(words), "\(refusal())")
        }
    }

    @Test func publishedNamesAreForPublishedFiles() {
        let all = Published.mnist.digests.map { (file: $0.key, digest: $0.value) }
        #expect(Published.mnist.described(as: .mnist, all).name == "mnist" && Published.mnist.described(as: .mnist, all).departs == nil)
        #expect(Published.fashionMNIST.described(as: .fashionMNIST, all).name == "idx-images")
        #expect(Published.cifar100.described(as: .cifar100, [("train", "")]).departs == "train")
        let set = ImageSet(channels: 1, height: 28, width: 28, classes: 3, images: pixels(3 * 784), labels: [0, 2, 1])
        #expect(
            set.orderlessDigest == set.subset([2, 0, 1]).orderlessDigest && set.orderlessDigest != set.subset([0, 1, 1]).orderlessDigest)
    }

    private func putCIFAR(_ labelBytes: Int, _ names: [String]) {
        for (index, name) in names.enumerated() {
            let records = (0..<2).flatMap { record -> [UInt8] in
                (labelBytes == 2 ? [19] : []) + [UInt8(record + index)] + pixels(3072).map { $0 &+ UInt8(record) }
            }
            scratch.put(name, records)
        }
    }

    @Test func readsCIFAR() throws {
        putCIFAR(1, (1...5).map { "data_batch_\($0).bin" } + ["test_batch.bin"])
        let ten = try importDataset(.cifar10, from: scratch.path).dataset
        #expect(ten.train.labels == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5] && ten.test.labels == [5, 6])
        #expect(Array(ten.train.images[3072..<6144]) == pixels(3072).map { $0 &+ 1 })
        #expect([ten.train.channels, ten.train.height, ten.train.classes] == [3, 32, 10])
        putCIFAR(2, ["train.bin", "test.bin"])
        let hundred = try importDataset(.cifar100, from: scratch.path).dataset
        #expect(hundred.train.labels == [0, 1] && hundred.test.labels == [1, 2] && hundred.train.classes == 100)
        #expect(
            hundred.classNames.count == 100 && hundred.classNames == hundred.classNames.sorted() && Set(hundred.classNames).count == 100)
    }

    @Test func refusesBadCIFAR() {
        #expect(refusal(.cifar10).contains("expected data_batch_1.bin, cifar-10-batches-bin/data_batch_1.bin, found none"))
        #expect(refusal(.cifar10).contains("the binary version is needed"))
        scratch.put("cifar-10-binary.tar.gz", [1])
        #expect(refusal(.cifar10).contains("unpack it first: tar -xzf"))
        putCIFAR(1, (1...5).map { "data_batch_\($0).bin" } + ["test_batch.bin"])
        scratch.put("data_batch_3.bin", pixels(3072))
        #expect(refusal(.cifar10).contains("data_batch_3.bin: size: expected records of 3073 bytes, one or more, got 3072 bytes"))
        scratch.put("data_batch_3.bin", [])
        #expect(refusal(.cifar10).contains("got 0 bytes"))
        scratch.put("data_batch_3.bin", [10] + pixels(3072))
        #expect(refusal(.cifar10).contains("label of record 0: expected 0 to 9, got 10"))
    }
}
