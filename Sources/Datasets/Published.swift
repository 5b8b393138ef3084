/// Whether original files are the published ones. A data set bears a published name only if every file's content, unpacked,
/// has the digest of the published one: any files may have such names.
struct Published {
    /// SHA-256 by the file's name, without .gz. For CIFAR-10, of each split's records, whatever their order: copies that were
    /// made of its pictures have another.
    let digests: [String: String]
    /// What the data are where all of them agree, and where one does not.
    let source: String, otherName: String, otherSource: String

    /// The name and source of data whose files have the digests `found`; `departs` is the first file that is another.
    func described(
        as kind: DatasetKind,
        _ found: [(file: String, digest: String)]
    ) -> (name: String, source: String, departs: String?) {
        let departs = found.first { digests[$0.file] != $0.digest }?.file
        return departs == nil ? (kind.rawValue, source, nil) : (otherName, otherSource, departs)
    }

    static let fashionMNIST = Published(
        digests: [
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ], source: "Fashion-MNIST, Xiao et al. 2017 (arXiv 1708.07747), original IDX files",
        otherName: "idx-images", otherSource: "IDX images, source unknown (imported with the class names of Fashion-MNIST)")

    static let mnist = Published(
        digests: [
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ], source: "MNIST, LeCun et al. 1998, original IDX files", otherName: "idx-images", otherSource: "IDX images, source unknown")

    static let cifar10 = Published(
        digests: [
            "train": "c184bacd98362262b137a81143464df1ec411af501e82a5e407fe8e0b2b7ae86",
            "test": "f72c9f40d8298ab84be545be2599e450e859fba31733e410b95783c11207d32e",
        ], source: "CIFAR-10, Krizhevsky 2009, binary version", otherName: "cifar-10-records",
        otherSource: "records of CIFAR-10's layout, source unknown (imported with its class names)")

    /// No digests of its binary files are known to us: never called by its name.
    static let cifar100 = Published(
        digests: [:], source: "CIFAR-100 (fine labels), Krizhevsky 2009, binary version",
        otherName: "cifar-100-records",
        otherSource: "records of CIFAR-100's layout, "
            + "source not checked (imported with its class names, fine labels)")
}

extension ImageSet {
    /// SHA-256 of the digests of all images with their labels, sorted: the same for any order.
    var orderlessDigest: String {
        var digests: [String] = []
        for at in labels.indices {
            let image = images[at * imageBytes..<(at + 1) * imageBytes]
            digests.append(SHA256.hexadecimal(of: [UInt8(truncatingIfNeeded: labels[at])] + image))
        }
        return SHA256.hexadecimal(of: digests.sorted().flatMap { Array($0.utf8) })
    }
}
