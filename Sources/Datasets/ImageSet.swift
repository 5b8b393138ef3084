/// Labelled images in memory, at their own size, in the order of the file.
public struct ImageSet: Equatable, Sendable {
    /// 1 or 3.
    public let channels: Int
    /// Pixels; height and width are 28 or 32.
    public let height, width: Int
    /// Labels are in 0..<classes; 2 to 1000.
    public let classes: Int
    /// (count, channels, height, width), row order.
    public let images: [UInt8]
    /// (count)
    public let labels: [UInt16]
    /// (count): whose image each is, any numbers; nil where nobody says. For `Partition.natural`.
    public let clients: [UInt32]?

    public static let classLimits = 2...1000

    /// The counts must agree; files and importers check theirs before they come here.
    public init(channels: Int, height: Int, width: Int, classes: Int, images: [UInt8], labels: [UInt16], clients: [UInt32]? = nil) {
        precondition(images.count == labels.count * channels * height * width && clients?.count ?? labels.count == labels.count)
        (self.channels, self.height, self.width, self.classes) = (channels, height, width, classes)
        (self.images, self.labels, self.clients) = (images, labels, clients)
    }

    public var count: Int { labels.count }

    /// Bytes, and pixels times channels, of one image.
    public var imageBytes: Int { channels * height * width }

    /// The images at `indices` (each in 0..<count), in that order, copied.
    public func subset(_ indices: some Sequence<Int>) -> ImageSet {
        var pixels: [UInt8] = [], chosen: [UInt16] = []
        pixels.reserveCapacity(indices.underestimatedCount * imageBytes)
        for index in indices {
            pixels += images[index * imageBytes..<(index + 1) * imageBytes]
            chosen.append(labels[index])
        }
        return ImageSet(channels: channels, height: height, width: width, classes: classes, images: pixels, labels: chosen)
    }

    /// How many images each class has; `classes` counts.
    public var classCounts: [Int] {
        var counts = [Int](repeating: 0, count: classes)
        for label in labels { counts[Int(label)] += 1 }
        return counts
    }

    /// The same images and labels, said to be of `classes` classes (more than every label).
    func with(classes: Int) -> ImageSet {
        ImageSet(channels: channels, height: height, width: width, classes: classes, images: images, labels: labels, clients: clients)
    }

    /// Shape and elements into a digest: "N C H W" as text, then images, then labels as 16 bits, little endian; where
    /// there are clients, those as 32 bits.
    func add(to hash: inout SHA256) {
        hash.update(Array("\(count) \(channels) \(height) \(width)\n".utf8))
        hash.update(images)
        hash.update(labels.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] })
        if let clients { hash.update(clients.flatMap { client in [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: client >> $0) } }) }
    }
}

/// A named data set with the two splits of every benchmark.
public struct Dataset: Equatable, Sendable {
    public let name: String
    /// One for each class.
    public let classNames: [String]
    /// Where the images come from, for people.
    public let source: String
    public let train, test: ImageSet
    /// SHA-256 of both splits' shapes, images and labels, in hexadecimal.
    public let digest: String

    /// `digest`: as stored with the data; nil has it computed (0.5 s for 100 MB).
    public init(name: String, classNames: [String], source: String, train: ImageSet, test: ImageSet, digest: String? = nil) {
        (self.name, self.classNames, self.source) = (name, classNames, source)
        (self.train, self.test) = (train, test)
        self.digest = digest ?? Self.digest(of: [train, test])
    }

    public static func digest(of sets: [ImageSet]) -> String {
        var hash = SHA256()
        for set in sets { set.add(to: &hash) }
        return hash.hexadecimal()
    }
}

/// One split without a name: the synthetic images of a foundation model.
public struct UnnamedSplit: Equatable, Sendable {
    public let set: ImageSet
    /// Empty where the file names none.
    public let classNames: [String]
    public let source: String
    /// SHA-256 of shape, images and labels, in hexadecimal.
    public let digest: String

    public init(set: ImageSet, classNames: [String] = [], source: String = "", digest: String? = nil) {
        (self.set, self.classNames, self.source) = (set, classNames, source)
        self.digest = digest ?? Dataset.digest(of: [set])
    }
}
