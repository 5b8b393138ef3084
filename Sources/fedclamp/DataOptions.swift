import ArgumentParser
import Datasets
import Experiments
import Federation
import HDF5

/// Where `reproduce` finds its data.
struct DataOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Data set. (default: data/fashion-mnist.h5)", valueName: "file.h5"), completion: .file())
    var data: String?

    @Option(
        help: ArgumentHelp("FM data, or holdout:N. (default: data/fashion-mnist-fm.h5 with Fashion-MNIST)", valueName: "file.h5|holdout:n"),
        completion: .file())
    var synthetic: String?

    struct Loaded {
        var dataset: Dataset, generated: UnnamedSplit?
        /// The files, or holdout:N.
        var data: String, synthetic: String
        /// The FM file's name, or holdout:N.
        var syntheticName: String
        /// What the user should know about the choice.
        var remarks: [String]
    }

    /// - Parameters:
    ///   - holdout: withheld training images that stand in for missing FM data.
    ///   - allowsNone: whether `none`, plain federated learning, will do.
    func load(holdout: Int, allowsNone: Bool = false) throws -> Loaded {
        if let synthetic, let n = SyntheticSource.holdout(ifAny: synthetic), n < 1 {
            throw Failure.usage("--synthetic \(synthetic): expected a file, or holdout:N with N images from 1")
        }
        if let synthetic, SyntheticSource.isPlain(synthetic), !allowsNone {
            throw Failure.usage(
                "--synthetic none: expected FM data, which the tables' attacks and defences are about; fedclamp run does without")
        }
        guard let path = data ?? Self.find("fashion-mnist.h5") else {
            throw Failure.input(
                "data/fashion-mnist.h5 is neither here nor beside the executable; make it with: "
                    + (Files.exists("data") ? "" : "mkdir data && ")
                    + "fedclamp import fashion-mnist --from /usr/share/datasets/fashion-mnist --out data/fashion-mnist.h5 "
                    + "(Debian package dataset-fashion-mnist), or name a data set with --data"
            )
        }
        let dataset = try DatasetFile.read(path, verify: true)
        let train = dataset.train, bearsItsName = dataset.name == DatasetKind.fashionMNIST.rawValue
        let isFashion = data == nil || bearsItsName && (train.channels, train.height, train.classes) == (1, 28, 10)
        let chosen = synthetic ?? (isFashion ? Self.find("fashion-mnist-fm.h5") : nil), name = chosen ?? "holdout:\(holdout)"
        let generated = try loadSynthetic(name, for: dataset)
        let remarks =
            chosen != nil
            ? []
            : [
                "no FM data given\(isFashion ? " and no data/fashion-mnist-fm.h5" : ""): "
                    + "\(Numbers.grouped(holdout)) withheld training images stand in for them (holdout:\(holdout))"
            ]
        return Loaded(
            dataset: dataset, generated: generated, data: path, synthetic: name,
            syntheticName: generated == nil ? name : Files.shown(Files.parts(name).last ?? "FM data"),
            remarks: remarks)
    }

    /// data/NAME in the working directory, then beside the executable, then ../share/fedclamp/NAME from there, where wheels have it; nil
    /// where there is none of them.
    private static func find(_ name: String) -> String? {
        var candidates = ["data/\(name)"]
        if let folder = Files.executableFolder {
            candidates += ["\(folder)/data/\(name)", "\(Files.split(folder).folder)/share/fedclamp/\(name)"]
        }
        return candidates.first { exists($0) }
    }
}

/// A data set and FM data from a file; nil for `holdout:N` and `none`.
func loadData(_ data: String, _ synthetic: String) throws -> (Dataset, UnnamedSplit?) {
    let dataset = try DatasetFile.read(data, verify: true)
    return (dataset, try loadSynthetic(synthetic, for: dataset))
}

private func loadSynthetic(_ synthetic: String, for dataset: Dataset) throws -> UnnamedSplit? {
    guard SyntheticSource.holdout(ifAny: synthetic) == nil, !SyntheticSource.isPlain(synthetic) else { return nil }
    return try DatasetFile.readUnnamedSplit(synthetic, matching: dataset, verify: true)
}
