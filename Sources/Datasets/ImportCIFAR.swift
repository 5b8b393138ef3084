/// What tells the binary versions of CIFAR-10 and CIFAR-100 apart.
struct CIFARFormat {
    /// The folder inside the published archive.
    let folder: String
    let archive: String
    let train: [String]
    let test: String
    /// Bytes before the pixels of a record; the last one is the label (CIFAR-100: coarse, then fine).
    let labelBytes: Int
    let classNames: [String]
    let published: Published
}

/// Records of `labelBytes` + 3072 bytes, pixels as (3, 32, 32).
func importCIFAR(_ kind: DatasetKind, from folder: String, _ format: CIFARFormat) throws(DatasetError) -> Imported {
    let train = try readCIFARSplit(format.train, folder, format), test = try readCIFARSplit([format.test], folder, format)
    let known = !format.published.digests.isEmpty
    let digests = [("train", train), ("test", test)].map { (file: $0.0, digest: known ? $0.1.orderlessDigest : "") }
    let (name, source, departs) = format.published.described(as: kind, digests)
    return Imported(dataset: Dataset(name: name, classNames: format.classNames, source: source, train: train, test: test), departs: departs)
}

private func readCIFARSplit(_ names: [String], _ folder: String, _ format: CIFARFormat) throws(DatasetError) -> ImageSet {
    var images: [UInt8] = [], labels: [UInt16] = []
    for name in names {
        let path = try findCIFAR(name, folder, format)
        let file = try InputFile.read(path), record = format.labelBytes + 3072
        guard !file.isEmpty, file.count % record == 0 else {
            throw .malformed(
                path: path, what: "size", expected: "records of \(record) bytes, one or more", got: "\(file.count) bytes",
                hint: "an incomplete copy, or not the binary version")
        }
        images.reserveCapacity(names.count * file.count)
        for start in stride(from: 0, to: file.count, by: record) {
            let label = UInt16(file[start + format.labelBytes - 1])
            guard label < format.classNames.count else {
                throw .malformed(
                    path: path, what: "label of record \(start / record)", expected: "0 to \(format.classNames.count - 1)",
                    got: "\(label)", hint: "not the binary version of this data set")
            }
            labels.append(label)
            images += file[start + format.labelBytes..<start + record]
        }
    }
    return ImageSet(channels: 3, height: 32, width: 32, classes: format.classNames.count, images: images, labels: labels)
}

private func findCIFAR(_ name: String, _ folder: String, _ format: CIFARFormat) throws(DatasetError) -> String {
    if let path = InputFile.find([name], in: [folder, "\(folder)/\(format.folder)"]) { return path }
    let packed = InputFile.find([format.archive], in: [folder]) != nil
    throw .missing(
        folder: folder, files: [name, "\(format.folder)/\(name)"],
        hint: packed
            ? "unpack it first: tar -xzf \(folder)/\(format.archive) -C \(folder)"
            : "the binary version is needed, \(format.archive), unpacked; not the Python or Matlab one")
}
