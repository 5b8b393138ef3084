import ArgumentParser
import Datasets
import Experiments

struct Import: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make an HDF5 data set of the original files of Fashion-MNIST, MNIST, CIFAR-10 or CIFAR-100.",
        discussion: """
            The files are read as published: IDX files (.gz or plain) for both MNISTs, the binary version for both CIFARs; \
            a folder that holds the unpacked archive's folder will do. The data set bears the published name only if the \
            files' content is the published one; others are read too, and called what they are.

              fedclamp import fashion-mnist --from /usr/share/datasets/fashion-mnist --out data/fashion-mnist.h5
              fedclamp import cifar-10 --from cifar-10-batches-bin --out data/cifar-10.h5
            """)

    @Argument(help: ArgumentHelp("fashion-mnist, mnist, cifar-10 or cifar-100.", valueName: "data-set"),
              transform: { try choose($0, "data set", from: DatasetKind.allCases.map { ($0.rawValue, $0) }) })
    var kind: DatasetKind

    @Option(help: ArgumentHelp("Folder with the original files.", valueName: "dir"))
    var from: String

    @Option(help: ArgumentHelp("File to write.", valueName: "file.h5"))
    var out: String

    @Flag(help: "Replace an existing file.")
    var overwrite = false

    func run() throws {
        try requireWritable(out, replace: overwrite)
        let imported = try importDataset(kind, from: from), dataset = imported.dataset
        try DatasetFile.write(dataset, to: out)
        output("\(out): \(dataset.name), \(describe(dataset))")
        output("digest \(dataset.digest)")
        if let departs = imported.departs {
            note("\(out): \(departs) is not known to be the published one of \(kind.rawValue): the data set is called \(dataset.name)")
        }
    }
}

/// "60,000 training and 10,000 test images of 1x28x28, 10 classes".
func describe(_ dataset: Dataset) -> String {
    let set = dataset.train
    return "\(Numbers.grouped(set.count)) training and \(Numbers.grouped(dataset.test.count)) test images of "
        + "\(set.channels)x\(set.height)x\(set.width), \(set.classes) classes"
}
