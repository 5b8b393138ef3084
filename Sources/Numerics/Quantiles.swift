/// The q-quantile of the values, linear between order statistics; 0 of none.
package func quantile(_ q: Double, _ values: [Float]) -> Float {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted(), place = q * Double(sorted.count - 1), low = Int(place)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (sorted[high] - sorted[low]) * Float(place - Double(low))
}

/// The middle value, of an even number the mean of the two middle ones; 0 of none.
package func median(_ values: [Double]) -> Double {
    guard !values.isEmpty else { return 0 }
    let sorted = values.sorted()
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}
