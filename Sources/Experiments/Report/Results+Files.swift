import HDF5
import OwnMethods

extension Results {
    /// Writes results.h5, report.html, each table's .md, .csv and .tex, and the figures. Returns the names of the files.
    public func write(to folder: ResultFolder) throws -> [String] {
        try HDF5File.write("\(folder.path)/results.h5") { file in
            try provenance(file)
            for table in tables { try write(table, file) }
            try index.write(file)
        }
        var texts = [("report.html", Report(results: self).html)]
        for table in tables {
            texts += [
                ("\(table.name).md", table.markdown(self)), ("\(table.name).csv", table.csv()), ("\(table.name).tex", table.latex(self)),
            ]
            if let bars = table.bars { texts.append(("\(table.name).svg", BarFigure(table: table, bars: bars).svg)) }
            if let curves = CurveFigure(table: table).svg { texts.append(("\(table.name)-curves.svg", curves)) }
        }
        for shown in illustrations {
            texts.append(
                ("activations-\(shown.name).svg", HistogramFigure(title: shown.title, histograms: shown.illustration.histograms).svg))
        }
        for (name, text) in texts { try TextFile.write(text, to: "\(folder.path)/\(name)") }
        return ["results.h5"] + texts.map(\.0)
    }

    private func provenance(_ file: HDF5File) throws {
        try file.setAttribute("format", ResultSummary.format)
        try file.setAttribute("version", 1)
        for (name, value) in facts { try file.setAttribute(name, value) }
        if !setting.grid.isEmpty { try file.writeStrings("/options", setting.grid.options.map { "\($0.name) = \($0.text)" }) }
    }

    /// /TABLE/{rows,columns,seeds} and one array (rows, columns, seeds) for each measure, NaN where nothing was measured. Of a sweep also
    /// /TABLE/row_options and column_options: for each option that varies its value in every row, or column.
    private func write(_ table: TableResult, _ file: HDF5File) throws {
        let group = "/\(table.name)", shape = [table.rows.count, table.columns.count, table.seeds.count]
        try file.createGroup(group)
        try file.setAttribute("caption", of: group, table.caption)
        try file.setAttribute("claim", of: group, table.claim)
        try file.writeStrings("\(group)/rows", table.rows)
        try file.writeStrings("\(group)/columns", table.columns)
        try file.write("\(group)/seeds", table.seeds, shape: [table.seeds.count])
        for (name, options) in [("row_options", table.rowOptions), ("column_options", table.columnOptions)] where !options.isEmpty {
            try file.createGroup("\(group)/\(name)")
            for option in options { try file.writeStrings("\(group)/\(name)/\(option.name)", option.values.map(OwnMethod.shown)) }
        }
        for measure in table.measures {
            try file.write("\(group)/\(measure.key)", table.places.flatMap { $0.flatMap { $0.map(measure.value) } }, shape: shape)
        }
    }
}
