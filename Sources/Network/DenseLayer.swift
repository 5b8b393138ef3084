/// A dense layer with its ReLU and its bounds, fc1 or one of the head's, in a workspace; n is the number of images.
struct DenseLayer {
    let layer: Layer
    let inputs: Int, units: Int
    /// What it reads (n, inputs), and the gradient of that.
    let x: UnsafeMutablePointer<Float>, dx: UnsafeMutablePointer<Float>
    /// After ReLU (n, units), before and after its bound, and the gradient of the latter, which `backward` turns into that
    /// of the sums.
    let a: UnsafeMutablePointer<Float>, bounded: UnsafeMutablePointer<Float>, da: UnsafeMutablePointer<Float>
}
