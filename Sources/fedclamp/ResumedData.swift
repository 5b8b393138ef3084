import Datasets
import Federation
import HDF5

/// The files of a run's data.
struct DataPaths {
    var data: String, synthetic: String

    /// Of a new run: as given. Throws `Failure.usage` for what is missing.
    init(_ data: String?, _ synthetic: String?) throws {
        guard let data, !data.isEmpty else { throw Failure.usage("Missing expected argument '--data <file.h5>'") }
        guard let synthetic, !synthetic.isEmpty else {
            throw Failure.usage("Missing expected argument '--synthetic <file.h5|holdout:n>'")
        }
        (self.data, self.synthetic) = (data, synthetic)
    }

    /// Of a run that is gone on with: as given, else where its file says. Whether they are the same data is compared by their digests later.
    ///
    /// - Parameter file: the run file, for errors.
    /// - Throws: `Failure.input` naming the options to give, where the file does not say, or nothing is there.
    init(_ data: String?, _ synthetic: String?, else stored: RunConfiguration, _ file: String) throws {
        var got: [String] = [], options: [String] = []
        let isUnknown = stored.data.isEmpty || stored.data == Provenance.unknown
        if data == nil, isUnknown || !exists(stored.data) {
            got.append(isUnknown ? "no path of its data set\(try Self.name(file))" : "no file \(stored.data)")
            options.append("--data FILE.h5")
        }
        let isPath = SyntheticSource.holdout(ifAny: stored.synthetic) == nil && !SyntheticSource.isPlain(stored.synthetic)
        if synthetic == nil, isPath, !exists(stored.synthetic) {
            got.append(stored.synthetic.isEmpty ? "no path of its FM data" : "no file \(stored.synthetic)")
            options.append("--synthetic FILE.h5")
        }
        guard options.isEmpty else {
            throw Failure.input(
                "\(file): expected the data of this run where its file says, got \(got.joined(separator: " and ")); "
                    + "give \(options.joined(separator: " and "))")
        }
        if isUnknown, let data { note("\(file) does not say what its clients' data are: they go on with shares of \(data)") }
        try self.init(data ?? stored.data, synthetic ?? stored.synthetic)
    }

    /// " (NAME)" of the data set, where the run file says it.
    private static func name(_ file: String) throws -> String {
        let name = try HDF5File.open(file).stringAttribute("dataset", of: "/provenance")
        return name.map { $0 == Provenance.unknown ? "" : " (\($0.prefix(100)))" } ?? ""
    }
}
