import Tensor

/// Losses on logits. Each adds the loss of one image to a sum and writes its gradient with respect to the logits, both
/// for a mean over `batch` images. Computed in double with our own exp and log.
public enum Loss {
    /// Cross-entropy with the label.
    @discardableResult
    public static func crossEntropy(
        _ logits: UnsafePointer<Float>, classes: Int, label: Int, batch: Int,
        gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        let logSum = logSumExp(logits, classes, 1), scale = 1 / Double(batch)
        for k in 0..<classes {
            let p = Mathematics.exp(Double(logits[k]) - logSum)
            gradient[k] = Float((p - (k == label ? 1 : 0)) * scale)
        }
        return (logSum - Double(logits[label])) * scale
    }

    /// Cross-entropy with a probability for each class, which sum to 1: a label is the one with 1 at its class, to the bit.
    public static func crossEntropy(
        _ logits: UnsafePointer<Float>, classes: Int, probabilities: UnsafePointer<Float>, batch: Int,
        gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        let logSum = logSumExp(logits, classes, 1), scale = 1 / Double(batch)
        var loss = 0.0
        for k in 0..<classes {
            loss += Double(probabilities[k]) * (logSum - Double(logits[k]))
            gradient[k] = Float((Mathematics.exp(Double(logits[k]) - logSum) - Double(probabilities[k])) * scale)
        }
        return loss * scale
    }

    /// Cross-entropy with a smoothed label: 1 - `smoothing` on the label, equal shares of the rest on the other classes.
    public static func smoothedCrossEntropy(
        _ logits: UnsafePointer<Float>, classes: Int, label: Int, smoothing: Double, batch: Int,
        gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        let logSum = logSumExp(logits, classes, 1), scale = 1 / Double(batch), rest = smoothing / Double(classes - 1)
        var loss = 0.0
        for k in 0..<classes {
            let wanted = k == label ? 1 - smoothing : rest
            loss += wanted * (logSum - Double(logits[k]))
            gradient[k] = Float((Mathematics.exp(Double(logits[k]) - logSum) - wanted) * scale)
        }
        return loss * scale
    }

    /// FedDF (Lin et al. 2020) with labels: (1 - b) T^2 KL(softmax(t / T) || softmax(s / T)) + b CE(s, label).
    /// - Parameter probabilities: (classes), which take the label's place; nil for the label.
    public static func distillation(
        _ logits: UnsafePointer<Float>, teacher: UnsafePointer<Float>, classes: Int, label: Int, probabilities: UnsafePointer<Float>? = nil,
        temperature: Double, labelWeight: Double, batch: Int,
        gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        let scale = 1 / Double(batch)
        let student1 = logSumExp(logits, classes, 1)
        let studentT = logSumExp(logits, classes, temperature), teacherT = logSumExp(teacher, classes, temperature)
        var divergence = 0.0, hard = 0.0
        for k in 0..<classes {
            let wanted = probabilities.map { Double($0[k]) } ?? (k == label ? 1 : 0)
            let logQ = Double(logits[k]) / temperature - studentT, logP = Double(teacher[k]) / temperature - teacherT
            let p = Mathematics.exp(logP), q = Mathematics.exp(logQ)
            divergence += p * (logP - logQ)
            let soft = (1 - labelWeight) * temperature * (q - p)
            hard += wanted * (student1 - Double(logits[k]))
            gradient[k] = Float((soft + labelWeight * (Mathematics.exp(Double(logits[k]) - student1) - wanted)) * scale)
        }
        return ((1 - labelWeight) * temperature * temperature * divergence + labelWeight * hard) * scale
    }

    /// Squared error to target logits, averaged over the classes.
    public static func squaredError(
        _ logits: UnsafePointer<Float>, target: UnsafePointer<Float>, classes: Int, batch: Int,
        gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        squaredDifference(logits, target: target, classes: classes, scale: 1 / Double(batch * classes), gradient: gradient)
    }

    /// `scale` times the sum over classes of the squared differences from target logits.
    public static func squaredDifference(
        _ logits: UnsafePointer<Float>, target: UnsafePointer<Float>, classes: Int, scale: Double,
        gradient: UnsafeMutablePointer<Float>
    ) -> Double {
        var sum = 0.0
        for k in 0..<classes {
            let error = Double(logits[k]) - Double(target[k])
            sum += error * error
            gradient[k] = Float(2 * error * scale)
        }
        return sum * scale
    }

    /// log sum_k exp(x_k / T).
    static func logSumExp(_ x: UnsafePointer<Float>, _ count: Int, _ temperature: Double) -> Double {
        var top = -Double.infinity
        for k in 0..<count { top = max(top, Double(x[k]) / temperature) }
        guard top.isFinite else { return .nan }
        var sum = 0.0
        for k in 0..<count { sum += Mathematics.exp(Double(x[k]) / temperature - top) }
        return top + Mathematics.log(sum)
    }

    /// The class with the largest logit; the first among equals.
    public static func prediction(_ logits: UnsafePointer<Float>, classes: Int) -> Int {
        var best = 0
        for k in 1..<classes where logits[k] > logits[best] { best = k }
        return best
    }
}
