/// Reads the original files of `kind`, as published, from the folder `folder`.
/// - Throws: `missing` with the names looked for, `malformed` for files that are not what they should be.
public func importDataset(_ kind: DatasetKind, from folder: String) throws(DatasetError) -> Imported {
    switch kind {
    case .fashionMNIST:
        return try importIDX(kind, from: folder, classNames: fashionNames, .fashionMNIST)
    case .mnist:
        return try importIDX(kind, from: folder, classNames: (0...9).map(String.init), .mnist)
    case .cifar10:
        return try importCIFAR(
            kind, from: folder,
            CIFARFormat(
                folder: "cifar-10-batches-bin", archive: "cifar-10-binary.tar.gz", train: (1...5).map { "data_batch_\($0).bin" },
                test: "test_batch.bin", labelBytes: 1, classNames: cifar10Names, published: .cifar10))
    case .cifar100:
        return try importCIFAR(
            kind, from: folder,
            CIFARFormat(
                folder: "cifar-100-binary", archive: "cifar-100-binary.tar.gz", train: ["train.bin"], test: "test.bin", labelBytes: 2,
                classNames: cifar100Names, published: .cifar100))
    }
}

private let fashionNames = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]

private let cifar10Names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]

/// In the order of fine_label_names.txt.
private let cifar100Names = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle \
    caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish \
    forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle \
    mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine \
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar \
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree \
    wolf woman worm
    """.split(separator: " ").map(String.init)
