import Experiments
import Federation

/// Ends `reproduce` and `merge`: writes the result files of what the cells hold and prints the tables.
struct ResultPrinter {
    private let folder: ResultFolder, setting: Setting

    init(_ folder: ResultFolder, _ setting: Setting) { (self.folder, self.setting) = (folder, setting) }

    /// - Parameter wanted: tables to print; all are written.
    /// - Parameter isPart: only some rows or columns were asked for.
    /// - Throws: `Failure.check` when trainings failed or, unless this is a shard or a part, are missing.
    func finish(wanted: [String], failures: [(title: String, reason: String)], isShard: Bool, isPart: Bool = false) throws {
        let results = try Results(try Plan(setting), folder, setting)
        let missing = Numbers.counted(results.missing.count, "training")
        for failure in failures { note("failed: \(failure.title): \(failure.reason)") }
        if isShard, !results.missing.isEmpty {
            note("this part is finished; \(missing) of other parts to come: fedclamp merge DIR ... --out DIR joins them")
        } else {
            let files = try results.write(to: folder)
            output(results.tables.filter { wanted.contains($0.name) }.map { $0.text(results) }.joined(separator: "\n\n"))
            note("wrote \(files.joined(separator: " ")) to \(folder.path); trainings took \(Numbers.duration(results.seconds)) in all")
            if isPart, !results.missing.isEmpty {
                note("\(missing) of other rows or columns to come: places are empty")
            }
            guard results.missing.isEmpty || isPart || !failures.isEmpty else {
                throw Failure.check("\(missing) missing, so places are empty; first: \(results.missing[0])")
            }
        }
        guard failures.isEmpty else { throw Failure.check("\(Numbers.counted(failures.count, "training")) failed: places are empty") }
    }
}
