/// Margins, divergences and predictions from rows of logits.
extension Loss {
    /// The margin of a class: its logit minus the largest other one. Writes the gradient of `weight` times the margin.
    public static func margin(
        _ y: UnsafePointer<Float>, of target: Int, classes: Int, weight: Double, gradient dy: UnsafeMutablePointer<Float>
    ) -> Float {
        var rival = target == 0 ? 1 : 0
        for k in 0..<classes where k != target && y[k] > y[rival] { rival = k }
        for k in 0..<classes { dy[k] = 0 }
        dy[target] = Float(weight)
        dy[rival] = -Float(weight)
        return y[target] - y[rival]
    }

    /// The margin of a class in a row of logits: its logit minus the largest other one.
    public static func margin(_ row: ArraySlice<Float>, of label: Int) -> Float {
        row[row.startIndex + label] - row.indices.reduce(-.infinity) { $1 == row.startIndex + label ? $0 : max($0, row[$1]) }
    }

    /// KL(teacher || softmax y), a mean over so many images, and its gradient; the teacher is a row of (rows, classes) logits.
    public static func divergence(
        _ y: UnsafePointer<Float>, from teachers: [Float], row: Int, classes: Int, images: Int, gradient dy: UnsafeMutablePointer<Float>
    ) -> Double {
        teachers.withUnsafeBufferPointer { logits in
            guard let teacher = logits.baseAddress else { return 0 }
            return distillation(
                y, teacher: teacher + row * classes, classes: classes, label: 0, temperature: 1, labelWeight: 0, batch: images, gradient: dy
            )
        }
    }

    /// The classes predicted by rows of logits.
    public static func predictions(_ logits: [Float], classes: Int) -> [Int] {
        logits.withUnsafeBufferPointer { buffer in
            (0..<logits.count / classes).map { i in buffer.baseAddress.map { prediction($0 + i * classes, classes: classes) } ?? 0 }
        }
    }
}
