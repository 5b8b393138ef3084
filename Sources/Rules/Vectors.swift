import Datasets
import Network
import Tensor

// Sums over the whole flattened vector of parameters, in double. A block of coordinates is summed in eight interleaved
// parts, blocks are added in order: the result depends neither on the number of threads nor on the instruction set.

/// Coordinates worked on at a time; 100 clients' blocks (1.6 MB) still fit a second-level cache.
package let coordinateBlock = 4096

/// Runs `body(first, width, worker)` for every block of coordinates.
package func forEachBlock(_ count: Int, threads: Int, _ body: (_ first: Int, _ width: Int, _ worker: Int) -> Void) {
    parallel((count + coordinateBlock - 1) / coordinateBlock, threads: threads) { block, worker in
        let first = block * coordinateBlock
        body(first, min(coordinateBlock, count - first), worker)
    }
}

/// One block of a sum over two vectors.
package typealias BlockSum = (_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Double

/// sum (a_k - b_k)^2.
package func blockDistance(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Double {
    var sums = SIMD8<Double>.zero, k = 0
    while k + 8 <= count {
        let d = eight(a + k) - eight(b + k)
        sums += d * d
        k += 8
    }
    var sum = sums.sum()
    while k < count {
        let d = Double(a[k]) - Double(b[k])
        sum += d * d
        k += 1
    }
    return sum
}

/// sum a_k b_k.
package func blockProduct(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Double {
    var sums = SIMD8<Double>.zero, k = 0
    while k + 8 <= count {
        sums += eight(a + k) * eight(b + k)
        k += 8
    }
    var sum = sums.sum()
    while k < count {
        sum += Double(a[k]) * Double(b[k])
        k += 1
    }
    return sum
}

/// Eight floats as doubles; one by one, as the library's conversion may stay a call.
@inline(__always)
func eight(_ a: UnsafePointer<Float>) -> SIMD8<Double> {
    var wide = SIMD8<Double>.zero
    for lane in 0..<8 { wide[lane] = Double(a[lane]) }
    return wide
}

/// ||a - b||^2 over all parameters.
package func squaredDistance(_ a: Parameters, _ b: Parameters) -> Double { total(a, b, blockDistance) }

/// a . b over all parameters.
package func product(_ a: Parameters, _ b: Parameters) -> Double { total(a, b, blockProduct) }

private func total(_ a: Parameters, _ b: Parameters, _ term: BlockSum) -> Double {
    var sum = 0.0
    forEachBlock(a.count, threads: 1) { first, width, _ in sum += term(a.base + first, b.base + first, width) }
    return sum
}

/// (a - g) . (b - g) over all parameters.
package func updateProduct(_ a: Parameters, _ b: Parameters, around g: Parameters) -> Double {
    var sum = 0.0
    let bases = (a.base, b.base, g.base)
    forEachBlock(g.count, threads: 1) { first, width, _ in
        sum += blockUpdateProduct(bases.0 + first, bases.1 + first, bases.2 + first, width)
    }
    return sum
}

/// sum (a_k - g_k)(b_k - g_k).
private func blockUpdateProduct(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ g: UnsafePointer<Float>, _ count: Int) -> Double {
    var sums = SIMD8<Double>.zero, k = 0
    while k + 8 <= count {
        sums += (eight(a + k) - eight(g + k)) * (eight(b + k) - eight(g + k))
        k += 8
    }
    var sum = sums.sum()
    while k < count {
        sum += (Double(a[k]) - Double(g[k])) * (Double(b[k]) - Double(g[k]))
        k += 1
    }
    return sum
}

/// Cosines from the matrix of products: 1 for equal vectors, 0 where one is zero, never outside -1...1.
package func cosines(_ products: [[Double]]) -> [[Double]] {
    products.indices.map { i in
        products.indices.map { j in cosine(products[i][j], products[i][i], products[j][j]) }
    }
}

/// a . b / (||a|| ||b||) from a . b and the squared norms; 0 where one is zero.
package func cosine(_ product: Double, _ squaredA: Double, _ squaredB: Double) -> Double {
    guard squaredA > 0, squaredB > 0 else { return 0 }
    return min(1, max(-1, product / (squaredA * squaredB).squareRoot()))  // sqrt(x * x) is x: equal vectors give exactly 1
}

/// Weights by number of images, summing to 1.
package func imageWeights(_ images: [Int]) -> [Double] {
    let total = Double(images.reduce(0, +))
    return images.map { Double($0) / total }
}

/// G + sum w_i (W_i - G), summed in double in the order given.
package func weightedSum(_ global: Parameters, _ models: [Parameters], _ weights: [Double], threads: Int = 1) -> Parameters {
    let result = Parameters(global.network), bases = models.map(\.base), g = global.base
    forEachBlock(global.count, threads: threads) { first, width, _ in
        withUnsafeTemporaryAllocation(of: Double.self, capacity: width) { buffer in
            guard let sum = buffer.baseAddress else { return }
            for k in 0..<width { sum[k] = Double(g[first + k]) }
            forEachFour(bases, weights) { w, weights in  // four terms for each load of a sum
                for k in 0..<width {
                    let before = Double(g[first + k])
                    var x = sum[k]
                    x += weights.0 * (Double(w.0[first + k]) - before)
                    x += weights.1 * (Double(w.1[first + k]) - before)
                    x += weights.2 * (Double(w.2[first + k]) - before)
                    x += weights.3 * (Double(w.3[first + k]) - before)
                    sum[k] = x
                }
            } rest: { w, weight in
                for k in 0..<width { sum[k] += weight * (Double(w[first + k]) - Double(g[first + k])) }
            }
            for k in 0..<width { result.base[first + k] = Float(sum[k]) }
        }
    }
    return result
}

/// Calls `body` with four vectors and their weights at a time, in order, then `rest` with each that is left.
@inline(__always)
func forEachFour(
    _ bases: [UnsafeMutablePointer<Float>], _ weights: [Double],
    _ body: (
        (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>),
        (Double, Double, Double, Double)
    ) -> Void, rest: (UnsafeMutablePointer<Float>, Double) -> Void
) {
    var i = 0
    while i + 4 <= bases.count {
        body(
            (bases[i], bases[i + 1], bases[i + 2], bases[i + 3]), (weights[i], weights[i + 1], weights[i + 2], weights[i + 3]))
        i += 4
    }
    while i < bases.count {
        rest(bases[i], weights[i])
        i += 1
    }
}

/// 1 / max(1, ||D|| / limit) for every norm.
package func clipFactors(_ norms: [Double], _ limit: Double) -> [Double] { norms.map { $0 > limit ? limit / $0 : 1 } }

/// G + s_i (W_i - G) for every model; itself where s_i is 1.
package func rescaled(_ models: [Parameters], _ factors: [Double], around global: Parameters) -> [Parameters] {
    zip(models, factors).map { $1 == 1 ? $0 : weightedSum(global, [$0], [$1]) }
}

/// ||W_i - G|| of every model.
package func updateNorms(_ models: [Parameters], _ global: Parameters, threads: Int) -> [Double] {
    var norms = [Double](repeating: 0, count: models.count)
    norms.withUnsafeMutableBufferPointer { buffer in
        guard let norms = buffer.baseAddress else { return }
        parallel(models.count, threads: threads) { i, _ in norms[i] = squaredDistance(models[i], global).squareRoot() }
    }
    return norms
}

/// Adds N(0, deviation^2) to every parameter, in canonical order; padding stays zero.
package func addNoise(_ model: Parameters, deviation: Double, _ stream: RandomStream, threads: Int) {
    guard deviation > 0 else { return }
    var drawn = 0
    for tensor in model.network.tensors {
        let before = drawn
        forEachBlock(tensor.canonicalCount, threads: threads) { first, width, _ in
            var stream = stream.skipping(2 * (before + first))  // a normal number takes two
            for i in first..<first + width {
                let place = tensor.place(i)
                model.base[place] = Float(Double(model.base[place]) + deviation * stream.normal())
            }
        }
        drawn += tensor.canonicalCount
    }
}
