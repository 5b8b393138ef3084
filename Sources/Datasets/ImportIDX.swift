/// The IDX files of MNIST and Fashion-MNIST: a big-endian header (0, 0, type 8 for bytes, rank; one 32-bit extent for each
/// axis), then the bytes. Published as .gz; unpacked ones are read too.
func importIDX(_ kind: DatasetKind, from folder: String, classNames: [String], _ published: Published) throws(DatasetError) -> Imported {
    var digests: [(file: String, digest: String)] = []
    let train = try readIDXSplit("train", folder, classNames.count, &digests),
        test = try readIDXSplit("t10k", folder, classNames.count, &digests)
    let (name, source, departs) = published.described(as: kind, digests)
    return Imported(dataset: Dataset(name: name, classNames: classNames, source: source, train: train, test: test), departs: departs)
}

/// Adds the digests of both files, unpacked.
private func readIDXSplit(_ prefix: String, _ folder: String, _ classes: Int, _ digests: inout [(file: String, digest: String)])
    throws(DatasetError) -> ImageSet
{
    let imagePath = try findIDX("\(prefix)-images-idx3-ubyte", folder), labelPath = try findIDX("\(prefix)-labels-idx1-ubyte", folder)
    let (images, labels) = try readIDXPair(imagePath, labelPath)
    digests += [("\(prefix)-images-idx3-ubyte", images.digest), ("\(prefix)-labels-idx1-ubyte", labels.digest)]
    if let index = labels.bytes.firstIndex(where: { $0 >= classes }) {
        throw .malformed(path: labelPath, what: "label \(index)", expected: "0 to \(classes - 1)", got: "\(labels.bytes[index])")
    }
    return ImageSet(channels: 1, height: 28, width: 28, classes: classes, images: images.bytes, labels: labels.bytes.map { UInt16($0) })
}

/// Images of 28x28 and as many labels.
func readIDXPair(_ imagePath: String, _ labelPath: String) throws(DatasetError) -> (images: IDX, labels: IDX) {
    let images = try readIDX(imagePath, rank: 3), labels = try readIDX(labelPath, rank: 1)
    guard images.shape[1] == 28, images.shape[2] == 28 else {
        throw .malformed(path: imagePath, what: "size of an image", expected: "28x28", got: "\(images.shape[1])x\(images.shape[2])")
    }
    guard labels.shape[0] == images.shape[0], images.shape[0] > 0 else {
        throw .malformed(
            path: labelPath, what: "number of labels", expected: "\(images.shape[0]), and not 0, as in \(imagePath)",
            got: "\(labels.shape[0])")
    }
    return (images, labels)
}

/// An IDX file's extents and bytes, and the digest of all of it, unpacked.
struct IDX { let shape: [Int], bytes: [UInt8], digest: String }

private func findIDX(_ name: String, _ folder: String) throws(DatasetError) -> String {
    let unpacked = name.replacingLast("-idx", with: ".idx")  // as some unpackers name it
    guard let path = InputFile.find([name + ".gz", name, unpacked], in: [folder, folder + "/raw"]) else {
        throw .missing(
            folder: folder, files: [name + ".gz", name],
            hint: "four files make the set: train- and t10k-, images and labels")
    }
    return path
}

private func readIDX(_ path: String, rank: Int) throws(DatasetError) -> IDX {
    let file = try InputFile.read(path), headerSize = 4 + 4 * rank
    let packed = InputFile.isGzip(file)
    let header = packed ? try InputFile.inflate(file, first: headerSize, path).bytes : Array(file.prefix(headerSize))
    guard header.count == headerSize, header.starts(with: [0, 0, 8, UInt8(rank)]) else {
        throw .malformed(
            path: path, what: "header", expected: "an IDX header 00 00 08 0\(rank) (bytes, rank \(rank))",
            got: header.prefix(4).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " "))
    }
    let shape = (1...rank).map { axis in header[4 * axis..<4 * axis + 4].reduce(0) { $0 << 8 | Int($1) } }
    let size = headerSize + shape.reduce(1) { min($0 * $1, InputFile.limit) }  // below 2^31 times below 2^32: no overflow
    guard size <= InputFile.limit else {
        throw .malformed(path: path, what: "header", expected: "at most \(InputFile.limit) bytes", got: "extents \(shape)")
    }
    // One byte more than declared is asked for, so that a file with more is told from one that ends where it should.
    let (bytes, complete) = packed ? try InputFile.inflate(file, first: size + 1, path) : (file, true)
    guard bytes.count == size, complete else {
        throw .malformed(
            path: path, what: "size", expected: "\(size) bytes for extents \(shape)",
            got: bytes.count > size ? "more" : "\(bytes.count) bytes", hint: "download it again")
    }
    return IDX(shape: shape, bytes: Array(bytes.dropFirst(headerSize)), digest: SHA256.hexadecimal(of: bytes))
}

private extension String {
    func replacingLast(_ part: String, with other: String) -> String {
        guard count >= part.count, let start = indices.last(where: { self[$0...].hasPrefix(part) }) else { return self }
        return String(self[..<start]) + other + self[index(start, offsetBy: part.count)...]
    }
}
