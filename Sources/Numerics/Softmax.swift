import Tensor

/// The softmax of the logits of one image, in double; the probabilities sum to 1 for logits of any size.
public func softmax(_ logits: ArraySlice<Float>) -> [Double] {
    let top = Double(logits.max() ?? 0), powers = logits.map { Mathematics.exp(Double($0) - top) }, sum = powers.reduce(0, +)
    return powers.map { $0 / sum }
}
