/// Data sets that are imported from their original files.
public enum DatasetKind: String, CaseIterable, Sendable {
    case fashionMNIST = "fashion-mnist", mnist, cifar10 = "cifar-10", cifar100 = "cifar-100"
}
