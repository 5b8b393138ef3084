/// Labels of files as classes from 0, each with a name, and what a user should know of it. The Python package numbers labels likewise
/// (`tools/python/fedclamp/importers/labels.py`).
struct NumberedLabels {
    let train, test: [UInt16]
    /// One for each class.
    let names: [String]
    let remarks: [String]

    /// Without `classes` the labels that occur in either split are the classes, in their order: labels from 1, and labels with gaps, are
    /// renumbered, and each class bears the file's label as its name. With it no label changes.
    ///
    /// - Parameters:
    ///   - classes: so many, some of which may have no image.
    ///   - path: for errors.
    /// - Throws: `malformed` for labels beyond `classes`, and fewer than two classes.
    init(train: [UInt8], test: [UInt8], classes: Int?, _ path: String) throws(DatasetError) {
        let found = Set(train).union(test).sorted().map { Int($0) }
        var labels = found, remarks: [String] = []
        if let classes {
            labels = Array(0..<classes)
            if let largest = found.last, largest >= classes {
                throw .malformed(
                    path: path, what: "labels", expected: "0 to \(classes - 1), as --classes \(classes) says", got: Self.listed(found))
            }
        } else if let last = found.last, last + 1 != found.count {
            remarks.append(Self.renumbered(found, last))
        }
        guard ImageSet.classLimits.contains(labels.count) else {
            throw .malformed(path: path, what: "labels", expected: "2 classes or more", got: "\(labels.count)")
        }
        let trained = Set(train.map { Int($0) }), untrained = labels.filter { !trained.contains($0) }
        if !untrained.isEmpty { remarks.append("no training image is of class \(Self.some(untrained))") }
        let numbers = Dictionary(uniqueKeysWithValues: labels.enumerated().map { ($1, UInt16($0)) })
        (self.train, self.test) = (train.map { numbers[Int($0)] ?? 0 }, test.map { numbers[Int($0)] ?? 0 })
        (names, self.remarks) = (labels.map { "\($0)" }, remarks)
    }

    private static func renumbered(_ found: [Int], _ last: Int) -> String {
        if found == Array(1...found.count) { return "labels are numbered from 1: class 0 is the file's 1" }
        return
            "labels are \(listed(found)): they became classes 0 to \(found.count - 1) in this order, named by the file's labels; "
            + "to keep the numbers, with classes that have no image, use --classes \(last + 1)"
    }

    /// Parts of a list in a message.
    private static let mostListed = 12

    /// As ranges: "0 to 8, 12".
    private static func listed(_ found: [Int]) -> String {
        var runs: [ClosedRange<Int>] = []
        for label in found {
            if let last = runs.last, last.upperBound + 1 == label {
                runs[runs.count - 1] = last.lowerBound...label
            } else {
                runs.append(label...label)
            }
        }
        let parts = runs.flatMap { $0.count > 2 ? ["\($0.lowerBound) to \($0.upperBound)"] : $0.map { "\($0)" } }
        return parts.prefix(mostListed).joined(separator: ", ") + (parts.count > mostListed ? ", ..." : "")
    }

    /// "2, 3, 4 and 1 more".
    private static func some(_ labels: [Int]) -> String {
        labels.prefix(3).map { "\($0)" }.joined(separator: ", ") + (labels.count > 3 ? " and \(labels.count - 3) more" : "")
    }
}
