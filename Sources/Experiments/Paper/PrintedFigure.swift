/// What the paper prints at one place, as fractions; NaN where it prints nothing.
public struct PrintedFigure: Equatable, Sendable {
    public var accuracy = Double.nan, accuracyDrop = Double.nan, attackSuccess = Double.nan

    public static let none = PrintedFigure()
}

/// The printed tables, looked up by place.
enum Printed {
    /// One line of a table's heading, and one defence.
    struct Place: Hashable {
        var table: String, setting: String, data: String, partition: String, attack: String, trigger: String, defense: String
    }

    static let tables: [Place: PrintedFigure] = {
        var figures: [Place: PrintedFigure] = [:]
        for line in PrintedTables.text.split(separator: "\n") {
            guard let colon = line.firstRange(of: ": ") else { continue }  // "dirichlet:0.1" has no space after its own
            let head = line[..<colon.lowerBound].split(separator: " ").map(String.init)
            for entry in line[colon.upperBound...].split(separator: ",") {
                let fields = entry.split(separator: " ").map(String.init)
                let place = Place(
                    table: head[0], setting: head[1], data: head[2], partition: head[3], attack: head[4], trigger: head[5],
                    defense: fields[0])
                figures[place] = PrintedFigure(
                    accuracy: fraction(fields[1]), accuracyDrop: fraction(fields[2]), attackSuccess: fraction(fields[3]))
            }
        }
        return figures
    }()

    /// The printed data set that a data set stands for: `import` calls files of CIFAR's layout that are not the published ones, as a part
    /// of
    /// them or the same images in another order, NAME-records.
    static func dataset(_ name: String) -> String {
        let suffix = "-records"
        return name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name
    }

    /// Of the attack paper: by attack ("none", "classic", "fm"), model, setting, data set and partition.
    static func attack(_ attack: String, model: String, setting: String, data: String, partition: String) -> PrintedFigure {
        for line in PrintedTables.attacks.split(separator: "\n") {
            let fields = line.split(separator: " ").map(String.init)
            guard Array(fields[..<4]) == [model, setting, data, partition], let at = ["none": 4, "classic": 6, "fm": 8][attack] else {
                continue
            }
            return PrintedFigure(accuracy: fraction(fields[at]), attackSuccess: fraction(fields[at + 1]))
        }
        return .none
    }

    /// From percent.
    private static func fraction(_ text: String) -> Double { Double(text).map { $0 / 100 } ?? .nan }
}
