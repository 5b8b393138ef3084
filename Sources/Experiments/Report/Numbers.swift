import Numerics

/// Numbers as people read them.
public enum Numbers {
    /// With `digits` decimals; "-" for NaN, which stands for "does not apply".
    public static func fixed(_ value: Double, _ digits: Int) -> String {
        guard !value.isNaN else { return "-" }
        guard value.isFinite, abs(value) < 1e12 else { return "\(value)" }
        let scale = (0..<digits).reduce(1) { product, _ in product * 10 }
        let units = Int((abs(value) * Double(scale)).rounded())
        let sign = value < 0 && units > 0 ? "-" : ""
        guard digits > 0 else { return sign + "\(units)" }
        let fraction = "\(units % scale)"
        return sign + "\(units / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    /// 60000 as "60,000".
    public static func grouped(_ value: Int) -> String {
        var digits = "\(value.magnitude)", groups: [String] = []
        while digits.count > 3 {
            groups.insert(String(digits.suffix(3)), at: 0)
            digits.removeLast(3)
        }
        return (value < 0 ? "-" : "") + ([digits] + groups).joined(separator: ",")
    }

    /// "1 round", "1,000 rounds".
    public static func counted(_ value: Int, _ noun: String) -> String { "\(grouped(value)) \(noun)\(value == 1 ? "" : "s")" }

    /// Image passes: "950", "15,500", "0.23 M".
    public static func passes(_ value: Double) -> String {
        (0..<100_000).contains(value) ? grouped(Int(value.rounded())) : fixed(value / 1e6, 2) + " M"
    }

    /// Seconds as "4 s", "3 min 20 s", "2 h 5 min".
    public static func duration(_ seconds: Double) -> String {
        guard (0..<1e9).contains(seconds) else { return "-" }
        let whole = Int(seconds.rounded(.up))
        if whole < 60 { return "\(whole) s" }
        if whole < 600 { return "\(whole / 60) min \(whole % 60) s" }
        if whole < 5400 { return "\((whole + 30) / 60) min" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }
}
