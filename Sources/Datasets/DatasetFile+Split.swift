import HDF5

extension DatasetFile {
    /// Bytes that one split's images may have in memory: 8 GiB.
    static let imageLimit = 8 << 30

    /// Reads `group`/images and `group`/labels ("" is the root) and checks them. `classNames` nil: there are as many classes
    /// as one-hot labels have columns, or as the largest label says, and then someone must have label 0 if `needsZero`.
    static func readSplit(_ file: HDF5File, _ path: String, _ group: String, _ classNames: [String]?, needsZero: Bool) throws(DatasetError)
        -> ImageSet
    {
        let images = group + "/images", labelName = group + "/labels"
        let info = try readingHDF5 { () throws(HDF5Error) in try file.info(of: images) }
        let extents = try imageExtents(file, path, group, info)
        let labels = try Labels(file, path, labelName, images: extents.count), values = labels.values
        if needsZero, classNames == nil, labels.oneHotClasses == nil { try Labels.requireZero(values, path, labelName) }
        let classes = try classCount(labels, classNames, path, labelName)
        var pixels = try readingHDF5 { () throws(HDF5Error) in try file.read(images, as: UInt8.self, limit: imageLimit).values }
        if extents.channelsLast { pixels = channelsFirst(pixels, channels: extents.channels, plane: extents.side * extents.side) }
        return ImageSet(
            channels: extents.channels, height: extents.side, width: extents.side, classes: classes,
            images: pixels, labels: values, clients: try readClients(file, path, group + "/clients", images: extents.count))
    }

    /// Whose image each is: whole numbers from 0; nil where the file does not say.
    private static func readClients(_ file: HDF5File, _ path: String, _ name: String, images: Int) throws(DatasetError) -> [UInt32]? {
        guard try readingHDF5({ () throws(HDF5Error) in try file.exists(name) }) else { return nil }
        let (values, shape) = try readingHDF5 { () throws(HDF5Error) in try file.read(name, as: UInt32.self, limit: 16 * images + 64) }
        guard shape == [images] else {
            throw .malformed(path: path, what: name, expected: "shape (\(images)), the client of each image", got: "\(shape)")
        }
        return values
    }

    private struct Extents { let count, channels, side: Int, channelsLast: Bool }

    private static func imageExtents(_ file: HDF5File, _ path: String, _ group: String, _ info: HDF5Info) throws(DatasetError) -> Extents {
        let what = group + "/images"
        func wrong(_ expected: String, _ got: String, _ hint: String = "") -> DatasetError {
            .malformed(path: path, what: what, expected: expected, got: got, hint: hint)
        }
        guard info.kind == UInt8.kind else { throw wrong("pixels of kind uint8, 0 to 255", "\(info.kind)") }
        guard info.shape.count == 4 else { throw wrong("rank 4 (N, C, H, W)", "rank \(info.shape.count), shape \(info.shape)") }
        let last = try channelsLast(file, path, group), shape = info.shape
        let (channels, height, width) = last ? (shape[3], shape[1], shape[2]) : (shape[1], shape[2], shape[3])
        guard channels == 1 || channels == 3 else {
            let flag = !last && (shape[3] == 1 || shape[3] == 3) ? "channels last? then set the attribute layout = \"NHWC\" on \(what)" : ""
            throw wrong("1 or 3 channels", "\(channels), shape \(shape)", flag)
        }
        guard height == width, height == 28 || height == 32 else { throw wrong("images of 28x28 or 32x32 pixels", "\(height)x\(width)") }
        guard shape[0] > 0 else { throw wrong("at least one image", "none") }
        return Extents(count: shape[0], channels: channels, side: height, channelsLast: last)
    }

    private static func channelsLast(_ file: HDF5File, _ path: String, _ group: String) throws(DatasetError) -> Bool {
        for object in [group + "/images", group.isEmpty ? "/" : group, "/"] {
            let layout = try readingHDF5 { () throws(HDF5Error) in try file.stringAttribute("layout", of: object) }
            guard let layout else { continue }
            guard layout == "NHWC" || layout == "NCHW" else {
                throw .malformed(path: path, what: "attribute layout of \(object)", expected: "NCHW or NHWC", got: layout)
            }
            return layout == "NHWC"
        }
        return false
    }

    private static func classCount(_ labels: Labels, _ names: [String]?, _ path: String, _ what: String) throws(DatasetError) -> Int {
        let largest = Int(labels.values.max() ?? 0), limits = ImageSet.classLimits
        if let names {
            guard limits.contains(names.count) else {
                throw .malformed(
                    path: path, what: "attribute class_names of /", expected: "\(limits.lowerBound) to \(limits.upperBound) names",
                    got: "\(names.count)")
            }
            guard largest < names.count else {
                throw .malformed(
                    path: path, what: what, expected: "labels below \(names.count), the number of class_names", got: "\(largest)",
                    hint: labels.values.contains(0) ? "" : Labels.fromOne(what))
            }
            return names.count
        }
        guard largest < limits.upperBound else {
            throw .malformed(path: path, what: what, expected: "labels below \(limits.upperBound)", got: "\(largest)")
        }
        return max(labels.oneHotClasses ?? largest + 1, limits.lowerBound)
    }

    /// (N, plane, C) to (N, C, plane).
    static func channelsFirst(_ pixels: [UInt8], channels: Int, plane: Int) -> [UInt8] {
        let size = channels * plane
        return [UInt8](unsafeUninitializedCapacity: pixels.count) { result, initialized in
            pixels.withUnsafeBufferPointer { source in
                for image in stride(from: 0, to: source.count, by: size) {
                    for channel in 0..<channels {
                        for pixel in 0..<plane { result[image + channel * plane + pixel] = source[image + pixel * channels + channel] }
                    }
                }
            }
            initialized = pixels.count
        }
    }
}
