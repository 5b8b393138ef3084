import GoldenInputs
import HDF5
import Testing
@testable import Network

/// The inputs of tools/oracle.py, made by the same formulas, and its golden file.
struct Golden {
    let channels: Int
    let file: HDF5File
    let network: ClampNet
    static let batch = 20

    /// The files: without a head for 1 and 3 channels, and by head.
    static let names = ["1ch", "3ch", "1x128", "2x192", "3x256"]

    init(_ name: String) throws {
        let folder = #filePath.split(separator: "/").dropLast().joined(separator: "/")
        file = try HDF5File.open("/\(folder)/Golden/clampnet-\(name).h5")
        channels = try file.intAttribute("channels") ?? 0
        network = ClampNet(channels: channels, classes: 10, head: name.hasSuffix("ch") ? .none : try Head(name))
    }

    init(channels: Int) throws { try self.init("\(channels)ch") }

    /// Those of `bounded`, `distill` ... that the file has.
    func cases(_ all: [String]) throws -> [String] { try all.filter { try file.exists("/\($0)") } }

    func parameters() -> Parameters { GoldenInputs.parameters(network) }

    func bounds() throws -> Bounds {
        let scale = try file.read("zscale", as: Float.self).values
        let bounds = Bounds(network)
        for layer in network.layers {
            bounds[layer] = (0..<network.units(layer)).map {
                $0 == 3 ? 0 : Float(Double(scale[layer.rawValue]) * GoldenInputs.u(30 + layer.rawValue, $0))
            }
        }
        return bounds
    }

    /// Writes candidate image number `image` of tensor t as network input.
    func load(_ t: Int, _ image: Int, _ x: UnsafeMutablePointer<Float>) {
        for c in 0..<channels {
            for y in 0..<32 {
                for j in 0..<32 {
                    let element = image * channels * 1024 + (c * 32 + y) * 32 + j
                    x[((y + 1) * 34 + j + 1) * channels + c] = Float((2 * GoldenInputs.u(t, element) - 1) * 1.7)
                }
            }
        }
    }

    var labels: [Int] { (0..<Golden.batch).map { Int(GoldenInputs.u(21, $0) * 10) } }
    var teacher: [Float] { (0..<Golden.batch * 10).map { Float((2 * GoldenInputs.u(22, $0) - 1) * 4) } }
    func images(_ name: String = "images") throws -> [Int] { try file.read(name, as: Int32.self).values.map(Int.init) }

    static func sign(_ k: Int, _ i: Int) -> Double { GoldenInputs.u(100 + k, i) >= 0.5 ? 1 : -1 }

    /// Compares every stored element, and the projections that cover the others, with the double-precision oracle.
    /// The allowance is float32's rounding of this network, as torch measured it on the same inputs, times what
    /// Winograd's transforms amplify it by (`winogradAmplification`), plus two units of last place of the tensor's scale.
    /// The kernels add a bound's gradient up pixel after pixel, torch pairwise: `serial` terms in float32 cost a random
    /// walk of roundings, 2^-24 sqrt(serial) of the sum.
    /// A loss is one number, so torch's deviation on it is a matter of luck: `propagated` adds what the logits' deviation
    /// makes of it to first order, sum |dloss/dlogit| times the largest deviation of a logit.
    func expect(_ name: String, _ values: [Float], amplification: Double = winogradAmplification, propagated: Double = 0, serial: Int = 0)
        throws
    {
        let oracle = try file.read(name, as: Double.self).values
        let stride = try file.intAttribute("stride", of: name) ?? 1
        let largest = try file.doubleAttribute("max", of: name) ?? 0, torch = try file.doubleAttribute("float32_max", of: name) ?? 0
        let allowed = amplification * (torch + propagated) + (0x1p-22 + 0x1p-24 * Double(serial).squareRoot()) * largest
        #expect(oracle.count == (values.count + stride - 1) / stride && !oracle.isEmpty)
        var worst = 0.0
        for (i, expected) in oracle.enumerated() {
            let error = abs(Double(values[i * stride]) - expected)
            worst = error <= worst ? worst : error
        }
        #expect(worst <= allowed, "\(name): off by \(worst), allowed \(allowed), torch's float32 \(torch)")
        guard stride > 1 else { return }
        let parts = name.split(separator: "/")  // case / gradient or final / layer / weight
        let projection = "\(parts[0])/projection/" + parts[2...].joined(separator: "/")
        let sums = try file.read(projection, as: Double.self).values
        let rms = try file.doubleAttribute("float32_rms", of: name) ?? 0
        for (k, expected) in sums.enumerated() {
            var sum = 0.0
            for (i, value) in values.enumerated() { sum += Golden.sign(k, i) * Double(value) }
            // Independent errors add up like a random walk; 6 standard deviations. Float rounding of each value besides.
            let scale = amplification * rms + 0x1p-24 * largest
            #expect(
                abs(sum - expected) <= 6 * scale * Double(values.count).squareRoot(), "\(projection)[\(k)]: \(sum), expected \(expected)")
        }
    }
}

/// How much larger the rounding errors of F(4x4, 3x3) are than those of nine products added up, for random inputs: the
/// rms of A^T's combinations of products, over the rms of the result, squared for two dimensions.
let winogradAmplification: Double = {
    let bt: [[Double]] = [
        [4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1],
    ]
    let g: [[Double]] = [
        [0.25, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6], [1 / 24, -1 / 12, 1 / 6], [0, 0, 1],
    ]
    let at: [[Double]] = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
    func power(_ row: [Double]) -> Double { row.reduce(0) { $0 + $1 * $1 } }
    // The square root is for the rms, the square for two dimensions.
    return at.map { row in (0..<6).reduce(0) { $0 + row[$1] * row[$1] * power(bt[$1]) * power(g[$1]) } / 3 }.max() ?? 0
}()
