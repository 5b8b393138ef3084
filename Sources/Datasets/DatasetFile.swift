import HDF5

/// Data sets as HDF5 files. Groups /train and /test hold `images`, uint8 (N, C, H, W), and `labels`, whole numbers (N); an unnamed split
/// has both at the root. /train/clients may say whose image each is, whole numbers (N). Root attributes: `format`, `version`, `name`,
/// `class_names`, `source`, `digest`; all may be absent. An attribute `layout` = "NHWC" of `images`, its group or the root flags
/// channels-last images.
public enum DatasetFile {
    static let format = "fedclamp-dataset", version = 1

    /// Reads a data set with both splits. `digest` is taken as stored unless `verify`, which hashes and compares.
    /// - Throws: `file` for what HDF5 refuses, `malformed` for what the schema forbids.
    public static func read(_ path: String, verify: Bool = false) throws(DatasetError) -> Dataset {
        let (file, header) = try openFile(path)
        try require(
            file, path, has: "/train/images", insteadOf: "/images",
            hint: "this file is one unnamed split, as FM data is; a data set has the groups /train and /test")
        guard try readingHDF5({ () throws(HDF5Error) in try file.exists("/test/images") }) else {
            throw .malformed(
                path: path, what: "/test", expected: "images and labels", got: "only the split /train",
                hint: "accuracy and attack success are measured on /test")
        }
        let train = try readSplit(file, path, "/train", header.classNames, needsZero: true)
        let test = try readSplit(file, path, "/test", header.classNames, needsZero: false)
        guard [train.channels, train.height, train.width] == [test.channels, test.height, test.width] else {
            throw .malformed(
                path: path, what: "/test/images", expected: "images of (\(train.channels), \(train.height), \(train.width)) as in /train",
                got: "(\(test.channels), \(test.height), \(test.width))")
        }
        let classes = max(train.classes, test.classes)
        let name = header.name ?? fileName(path), names = header.classNames ?? (0..<classes).map(String.init)
        let dataset = Dataset(
            name: name, classNames: names, source: header.source, train: train.with(classes: classes),
            test: test.with(classes: classes), digest: verify ? nil : header.digest)
        try check(dataset.digest, against: header.digest, path)
        return dataset
    }

    /// Reads images and labels at the root. With `dataset`, whose server they are for, they must have its shape and no
    /// labels beyond its classes, and count as of its classes. `classes`: so many are known from elsewhere, so that the first
    /// may be missing here.
    public static func readUnnamedSplit(
        _ path: String, matching dataset: Dataset? = nil, classes: Int? = nil,
        verify: Bool = false
    ) throws(DatasetError) -> UnnamedSplit {
        let (file, header) = try openFile(path)
        try require(
            file, path, has: "/images", insteadOf: "/train/images",
            hint: "this file is a data set with /train and /test; FM data is one split, images and labels at the root")
        let known = dataset?.train.classes ?? classes
        var set = try readSplit(file, path, "", header.classNames, needsZero: known == nil)
        if let known, set.classes > known { try Labels.requireZero(set.labels, path, "/labels") }
        if let dataset { set = try match(set, header.classNames, dataset, path) }
        let split = UnnamedSplit(
            set: set, classNames: header.classNames ?? dataset?.classNames ?? [], source: header.source,
            digest: verify ? nil : header.digest)
        try check(split.digest, against: header.digest, path)
        return split
    }

    /// Writes a data set, replacing the file at `path` as one step.
    public static func write(_ dataset: Dataset, to path: String) throws(DatasetError) {
        try writeFile(
            path, Header(name: dataset.name, classNames: dataset.classNames, source: dataset.source, digest: dataset.digest),
            [("/train", dataset.train), ("/test", dataset.test)])
    }

    /// Writes one unnamed split, replacing the file at `path` as one step.
    public static func write(_ split: UnnamedSplit, name: String, to path: String) throws(DatasetError) {
        let header = Header(name: name, classNames: split.classNames, source: split.source, digest: split.digest)
        try writeFile(path, header, [("", split.set)])
    }

    private static func writeFile(_ path: String, _ header: Header, _ splits: [(String, ImageSet)]) throws(DatasetError) {
        do {
            try HDF5File.write(path) { file in
                try file.setAttribute("format", format)
                try file.setAttribute("version", version)
                if let name = header.name { try file.setAttribute("name", name) }
                if let names = header.classNames, !names.isEmpty { try file.setAttribute("class_names", names) }
                try file.setAttribute("source", header.source)
                if let digest = header.digest { try file.setAttribute("digest", digest) }
                for (group, set) in splits {
                    try file.write(group + "/images", set.images, shape: [set.count, set.channels, set.height, set.width])
                    if let clients = set.clients { try file.write(group + "/clients", clients, shape: [set.count]) }
                    if set.classes <= 256 {
                        try file.write(group + "/labels", set.labels.map { UInt8($0) }, shape: [set.count])
                    } else {
                        try file.write(group + "/labels", set.labels, shape: [set.count])
                    }
                }
            }
        } catch let error as HDF5Error { throw .file(error) } catch let error as DatasetError { throw error } catch {
            throw .malformed(path: path, what: "writing", expected: "success", got: "\(error)")
        }
    }

    /// The attributes of /; nil: not there.
    private struct Header {
        var name: String?, classNames: [String]?, source = "", digest: String?
    }

    private static func openFile(_ path: String) throws(DatasetError) -> (HDF5File, Header) {
        let (file, format, version, header) = try readingHDF5 { () throws(HDF5Error) in
            let file = try HDF5File.open(path)
            let header = Header(
                name: try file.stringAttribute("name"), classNames: try file.stringsAttribute("class_names"),
                source: try file.stringAttribute("source") ?? "", digest: try file.stringAttribute("digest"))
            return (file, try file.stringAttribute("format") ?? Self.format, try file.intAttribute("version") ?? Self.version, header)
        }
        guard format == Self.format else {
            throw .malformed(
                path: path, what: "attribute format of /", expected: Self.format, got: format,
                hint: "\"fedclamp inspect\" says what this file is")
        }
        guard version == Self.version else {
            throw .malformed(
                path: path, what: "attribute version of /", expected: "\(Self.version)", got: "\(version)",
                hint: "made by another version of fedclamp: import the data again")
        }
        if let digest = header.digest, digest.utf8.count != 64 {
            throw .malformed(path: path, what: "attribute digest of /", expected: "64 hexadecimal digits", got: digest)
        }
        return (file, header)
    }

    private static func require(
        _ file: HDF5File, _ path: String, has wanted: String, insteadOf other: String,
        hint: String
    ) throws(DatasetError) {
        let (found, otherFound) = try readingHDF5 { () throws(HDF5Error) in (try file.exists(wanted), try file.exists(other)) }
        guard !found else { return }
        guard otherFound else { throw .file(.missing(path: path, object: wanted)) }
        throw .malformed(path: path, what: "/", expected: wanted, got: other, hint: hint)
    }

    private static func match(_ set: ImageSet, _ names: [String]?, _ dataset: Dataset, _ path: String) throws(DatasetError) -> ImageSet {
        let wanted = dataset.train
        guard [set.channels, set.height, set.width] == [wanted.channels, wanted.height, wanted.width] else {
            throw .malformed(
                path: path, what: "/images",
                expected: "images of (\(wanted.channels), \(wanted.height), \(wanted.width)) as in \(dataset.name)",
                got: "(\(set.channels), \(set.height), \(set.width))")
        }
        guard set.classes <= wanted.classes else {
            throw .malformed(
                path: path, what: names == nil ? "/labels" : "attribute class_names of /",
                expected: "at most the \(wanted.classes) classes of \(dataset.name)", got: "\(set.classes)")
        }
        return set.with(classes: wanted.classes)
    }

    private static func check(_ digest: String, against stored: String?, _ path: String) throws(DatasetError) {
        guard let stored, stored != digest else { return }
        throw .malformed(
            path: path, what: "attribute digest of /", expected: digest, got: stored,
            hint: "the images or labels were changed after the file was written")
    }

    private static func fileName(_ path: String) -> String {
        let name = Files.shown(Files.parts(path).last ?? path)
        return name.hasSuffix(".h5") ? String(name.dropLast(3)) : name
    }
}
