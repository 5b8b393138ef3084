import KernelTable

/// For each of `count` pairs of rows, in order: of every column the smaller value goes to the first row, the larger one to the second.
/// `width` is a multiple of 32.
func exchangeRows(_ rows: UnsafeMutablePointer<Float>, _ width: Int, _ pairs: UnsafePointer<Int32>, _ count: Int) {
    for pair in 0..<count {
        let a = rows + Int(pairs[2 * pair]) * width, b = rows + Int(pairs[2 * pair + 1]) * width
        var k = 0
        while k < width {
            let x = load(a + k), y = load(b + k)
            store(vmin(x, y), a + k)
            store(vmax(y, x), b + k)
            k += lanes
        }
    }
}
