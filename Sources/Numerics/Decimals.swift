/// `value` with that many decimals, without Foundation.
package func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite else { return "\(value)" }
    var scale = 1.0
    for _ in 0..<decimals { scale *= 10 }
    let whole = Int((abs(value) * scale).rounded()), unit = Int(scale)
    let fraction = String(whole % unit)
    return (value < 0 ? "-" : "") + "\(whole / unit)." + String(repeating: "0", count: decimals - fraction.count) + fraction
}
