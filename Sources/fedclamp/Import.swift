import ArgumentParser
import Datasets
import Experiments
import HDF5

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract:
            "Make an HDF5 data set of the original files of Fashion-MNIST, MNIST, CIFAR-10 or CIFAR-100, or of IDX files of any name.",
        discussion: Help.folded(
            """
            The files are read as published: IDX files (.gz or plain) for both MNISTs, the binary version for both CIFARs; \
            a folder that holds the unpacked archive's folder will do. The data set bears the published name only if the \
            files' content is the published one; others are read too, and called what they are.

              fedclamp import fashion-mnist --from /usr/share/datasets/fashion-mnist --out data/fashion-mnist.h5
              fedclamp import cifar-10 --from cifar-10-batches-bin --out data/cifar-10.h5
              fedclamp import idx --from kmnist --name kmnist --out data/kmnist.h5
              fedclamp import idx --from gzip --variant emnist-letters --out data/letters.h5

            Other forms (npz, folders of images, CIFAR's Python version, Parquet, TFF, LEAF) are read by the Python package \
            (tools/python); data/FORMAT.md describes the file that all of them write.
            """))

    @Argument(
        help: ArgumentHelp("fashion-mnist, mnist, cifar-10, cifar-100 or idx.", valueName: "data-set"),
        completion: .list(Import.kinds.map(\.name)),
        transform: { try choose($0, "data set", from: Import.kinds) })
    var source: Source

    enum Source { case published(DatasetKind), idx }

    static let kinds: [(name: String, value: Source)] = DatasetKind.allCases.map { ($0.rawValue, .published($0)) } + [("idx", .idx)]

    @Option(help: ArgumentHelp("Folder with the original files.", valueName: "dir"), completion: .directory)
    var from: String

    @Option(help: ArgumentHelp("File to write.", valueName: "file.h5"), completion: .file())
    var out: String

    @Option(help: ArgumentHelp("Of idx: what the data set is called. (default: the variant)", valueName: "name"))
    var name: String?

    @Option(help: ArgumentHelp("Of idx: what the files' names begin with, where the folder has several sets.", valueName: "text"))
    var variant = ""

    @Option(
        help: ArgumentHelp(
            "Of idx: keep labels 0 to N - 1 as they are, also where some have no image. (default: the labels that occur are the classes)",
            valueName: "n"))
    var classes: Int?

    @Flag(help: "Of idx: the files hold rows and columns exchanged; known of emnist.")
    var transposed = false

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    func run() throws {
        if case .published = source, name != nil || !variant.isEmpty || transposed || classes != nil {
            throw Failure.usage("--name, --variant, --classes and --transposed: expected with idx only")
        }
        if let classes, !ImageSet.classLimits.contains(classes) {
            let limits = ImageSet.classLimits
            throw Failure.usage("--classes \(classes): expected a number from \(limits.lowerBound) to \(limits.upperBound)")
        }
        let originals = Files.names(in: from).filter { !$0.hasSuffix(".h5") }  // an earlier import may lie beside them
        try requireWritable(out, replace: overwrite, inputs: [from] + originals.map { "\(from)/\($0)" })
        guard case let .published(kind) = source else {
            let imported = try importAnyIDX(from: from, variant: variant, name: name, transposed: transposed, classes: classes)
            return try write(imported.dataset, imported.remarks.map { "\(out): \($0)" })
        }
        let imported = try importDataset(kind, from: from)
        try write(
            imported.dataset,
            imported.departs.map {
                ["\(out): \($0) is not known to be the published one of \(kind.rawValue): the data set is called \(imported.dataset.name)"]
            } ?? [])
    }

    private func write(_ dataset: Dataset, _ remarks: [String]) throws {
        try DatasetFile.write(dataset, to: out)
        output("\(out): \(dataset.name), \(describe(dataset))")
        output("digest \(dataset.digest)")
        remarks.forEach(note)
    }
}

/// "60,000 training and 10,000 test images of 1x28x28, 10 classes".
func describe(_ dataset: Dataset) -> String {
    let set = dataset.train
    return "\(Numbers.grouped(set.count)) training and \(Numbers.grouped(dataset.test.count)) test images of "
        + "\(set.channels)x\(set.height)x\(set.width), \(set.classes) classes"
}
