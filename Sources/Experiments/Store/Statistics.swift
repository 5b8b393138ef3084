/// Over seeds; NaN values, which stand for cells that are missing, are left out.
public enum Statistics {
    /// NaN for none.
    public static func mean(_ values: [Double]) -> Double {
        let values = values.filter { !$0.isNaN }
        return values.isEmpty ? .nan : values.reduce(0, +) / Double(values.count)
    }

    /// Standard deviation of the sample (n - 1); NaN for less than two.
    public static func deviation(_ values: [Double]) -> Double {
        let values = values.filter { !$0.isNaN }, mean = mean(values)
        guard values.count > 1 else { return .nan }
        return (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot()
    }
}
