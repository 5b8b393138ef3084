import HDF5

/// Labels as files have them. Read where their meaning is plain: whole numbers of any width, NumPy's bool and other
/// enumerations, as (N) or (N, 1), and exact one-hot rows (N, K). Refused with a way out where it is not.
struct Labels {
    /// One for each image, from 0.
    let values: [UInt16]
    /// K of one-hot rows; nil elsewhere.
    let oneHotClasses: Int?

    /// - Parameter images: how many labels there must be.
    /// - Throws: `malformed` for other shapes, kinds, rows and values.
    init(_ file: HDF5File, _ path: String, _ name: String, images: Int) throws(DatasetError) {
        let info = try readingHDF5 { () throws(HDF5Error) in try file.info(of: name) }
        switch info.shape {
        case [images], [images, 1]:
            guard Self.isWhole(info.kind) else { throw Self.wrongKind(path, name, info.kind) }
            do {
                values = try file.read(name, as: UInt16.self).values
            } catch .mismatch(_, _, _, let got) {
                throw .malformed(
                    path: path, what: name, expected: "labels from 0 to the number of classes - 1", got: got, hint: Self.numbered(name))
            } catch {
                throw .file(error)
            }
            oneHotClasses = nil
        case let shape where shape.count == 2 && shape[0] == images && ImageSet.classLimits.contains(shape[1]):
            values = try Self.oneHot(file, path, name, info.kind, classes: shape[1])
            oneHotClasses = shape[1]
        default:
            throw .malformed(
                path: path, what: name, expected: "shape (\(images)), one for each image", got: "\(info.shape)",
                hint: info.shape.count == 2 ? "one-hot rows (\(images), K) are read too" : "")
        }
    }

    private static func isWhole(_ kind: HDF5Kind) -> Bool {
        switch kind {
        case .integer, .enumeration: true
        default: false
        }
    }

    private static func wrongKind(_ path: String, _ name: String, _ kind: HDF5Kind) -> DatasetError {
        let isReal = if case .float = kind { true } else { false }
        let hint = isReal ? "if all are whole numbers, " + replacing(name, "y.astype(\"int64\")") : numbered(name)
        return .malformed(path: path, what: name, expected: "whole numbers from 0", got: "\(kind)", hint: hint)
    }

    /// What to do about labels that are no numbers of classes.
    private static func numbered(_ name: String) -> String {
        "number the classes; " + replacing(name, "numpy.unique(y, return_inverse=True)[1]")
    }

    /// How to put other labels `y` in place of these.
    private static func replacing(_ name: String, _ y: String) -> String {
        "in h5py: y = f[\"\(name)\"][:]; del f[\"\(name)\"]; f[\"\(name)\"] = \(y)"
    }

    /// The place of the 1 in each row of `classes` numbers, which must be 0 otherwise.
    private static func oneHot(
        _ file: HDF5File, _ path: String, _ name: String, _ kind: HDF5Kind, classes: Int
    ) throws(DatasetError) -> [UInt16] {
        let isReal = if case .float = kind { true } else { false }
        guard isReal || isWhole(kind) else { throw wrongKind(path, name, kind) }
        let rows = try readingHDF5 { () throws(HDF5Error) -> [Double] in
            isReal ? try file.read(name, as: Double.self).values : try file.read(name, as: Int64.self).values.map { Double($0) }
        }
        var labels: [UInt16] = []
        for start in stride(from: 0, to: rows.count, by: classes) {
            let row = rows[start..<start + classes]
            guard let one = row.firstIndex(of: 1), row.filter({ $0 != 0 }).count == 1 else {
                throw .malformed(
                    path: path, what: "\(name), row \(start / classes)", expected: "one-hot: a single 1 among zeros",
                    got: row.prefix(3).map { "\(Float($0))" }.joined(separator: " ") + (classes > 3 ? " ..." : ""),
                    hint: "one class for each image is needed; " + replacing(name, "y.argmax(1)"))
            }
            labels.append(UInt16(one - start))
        }
        return labels
    }

    /// Throws where nobody has label 0 and nothing says how many classes there are: counted from 1, as it seems, the first
    /// class would be an empty one, and every label one off.
    static func requireZero(_ labels: [UInt16], _ path: String, _ name: String) throws(DatasetError) {
        guard let least = labels.min(), least > 0, let largest = labels.max() else { return }
        throw .malformed(
            path: path, what: name, expected: "labels from 0", got: "\(least) to \(largest)",
            hint: fromOne(name) + "; if class 0 really has no image here, name all classes in the attribute class_names of /")
    }

    /// What to do about labels that count from 1.
    static func fromOne(_ name: String) -> String {
        "if they count from 1, in h5py: f[\"\(name)\"][...] = f[\"\(name)\"][...] - 1"
    }
}
