import HDF5

/// What is done to IDX files of any name on their way in, and what a user should know of it.
public struct AnyIDX: Sendable {
    public let dataset: Dataset
    public let remarks: [String]
}

/// The four IDX files of a data set of any name: those of `folder` whose names hold `variant` and end as MNIST's do, with
/// "train" and with "test" or "t10k" in the name: KMNIST, EMNIST, QMNIST. Images are 28x28.
///
/// EMNIST's files hold images with rows and columns exchanged, and its letters are numbered from 1: both are put right.
///
/// - Parameters:
///   - name: what the data set is called; a published name is refused unless the files are those (`Published`).
///   - classes: labels 0 to N - 1 stay as they are; nil where the labels that occur are the classes (`NumberedLabels`).
/// - Throws: `missing` and `malformed` naming the files.
public func importAnyIDX(
    from folder: String, variant: String, name: String?, transposed: Bool, classes: Int? = nil
) throws(DatasetError) -> AnyIDX {
    var remarks: [String] = [], digests: [(file: String, digest: String)] = []
    let turns = transposed || variant.hasPrefix("emnist")
    let files = try (train: pair(["train"], folder, variant), test: pair(["test", "t10k"], folder, variant))
    let train = try readIDXPair(files.train.images, files.train.labels)
    let test = try readIDXPair(files.test.images, files.test.labels)
    for (split, found) in [("train", train), ("t10k", test)] {
        digests.append(("\(split)-images-idx3-ubyte", found.images.digest))
        digests.append(("\(split)-labels-idx1-ubyte", found.labels.digest))
    }
    let labels = try NumberedLabels(train: train.labels.bytes, test: test.labels.bytes, classes: classes, files.train.labels)
    remarks += labels.remarks
    if turns { remarks.append("rows and columns of the images were exchanged, as EMNIST's files need it") }
    func set(_ images: [UInt8], _ labels: [UInt16], _ classes: Int) -> ImageSet {
        ImageSet(channels: 1, height: 28, width: 28, classes: classes, images: turns ? exchanged(images) : images, labels: labels)
    }
    let published = [("fashion-mnist", Published.fashionMNIST), ("mnist", .mnist)].first { _, published in
        digests.allSatisfy { published.digests[$0.file] == $0.digest }
    }?.0
    if let name, DatasetKind.allCases.contains(where: { $0.rawValue == name }), name != published {
        throw .argument(
            what: "--name \(name)", expected: "another name: these are not the published files of \(name)",
            got: name)
    }
    let label = name ?? published ?? (variant.isEmpty ? "idx-images" : variant)
    let source = "IDX files \(Files.shown(Files.split(files.train.images).name)) and beside it"
    let dataset = Dataset(
        name: label, classNames: labels.names, source: source, train: set(train.images.bytes, labels.train, labels.names.count),
        test: set(test.images.bytes, labels.test, labels.names.count))
    return AnyIDX(dataset: dataset, remarks: remarks)
}

/// The files of a split: exactly one of images and one of labels.
private func pair(
    _ words: [String], _ folder: String,
    _ variant: String
) throws(DatasetError) -> (images: String, labels: String) {
    (try single(words, "images-idx3-ubyte", folder, variant), try single(words, "labels-idx1-ubyte", folder, variant))
}

private func single(
    _ words: [String], _ ending: String, _ folder: String,
    _ variant: String
) throws(DatasetError) -> String {
    let found = Files.names(in: folder).filter { name in
        guard !name.hasPrefix(".") else { return false }  // ._NAME is what macOS puts beside NAME
        let plain = name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
        return plain.hasSuffix(ending) && plain.contains(variant) && words.contains { plain.contains($0) }
    }.sorted()
    guard let first = found.first else {
        throw .missing(
            folder: folder, files: words.map { "\(variant)*\($0)*\(ending)" },
            hint: "plain or .gz; four files make the set")
    }
    guard found.count == 1 else {
        throw .malformed(
            path: folder, what: "files \(words[0])*\(ending)", expected: "one; --variant NAME chooses",
            got: found.prefix(8).joined(separator: " "))
    }
    return "\(folder)/\(first)"
}

/// (N, 28, 28) with the last two axes exchanged.
private func exchanged(_ pixels: [UInt8]) -> [UInt8] {
    var result = pixels
    for image in stride(from: 0, to: pixels.count, by: 784) {
        for row in 0..<28 {
            for column in 0..<28 { result[image + column * 28 + row] = pixels[image + row * 28 + column] }
        }
    }
    return result
}
