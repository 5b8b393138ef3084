import Attacks
import Network
import Tensor

/// Tells images with a trigger from images without, once a group is known that mostly has it: a linear function w of the network's
/// input. What a trigger adds is the same in every image, and may be far fainter than what images differ by; divided by
/// how much they vary, direction by direction, it stands out (Fisher's linear discriminant; in signal processing a matched filter).
///
/// w minimises w^T (S + ridge) w / 2 - d^T w over all w with u^T w = 0. S is the covariance of the images, d the mean of the
/// group less that of other classes' images, u the mean of the class's images outside the group less the same: what natural images of the
/// class have in common must not count. A few steps of conjugate gradients, running over the images, without a covariance matrix; so few
/// leave directions alone in which images hardly vary.
struct TriggerFilter {
    private let rows: FloatBuffer, count: Int, width: Int, stride: Int, samples: Samples, threads: Int

    /// - Parameters:
    ///   - images: those that S is taken over; each takes 4 bytes a float of the network's input (14 kB in colour).
    ///   - width: floats of the network's input.
    init(_ samples: Samples, images: [Int], width: Int, threads: Int) {
        (self.samples, self.width, self.threads) = (samples, width, threads)
        (count, stride) = (images.count, Self.stride(width))
        let rows = FloatBuffer(count * stride), stride = stride
        parallel(count, threads: threads) { row, _ in samples.load(images[row], into: rows.base + row * stride) }
        var mean = [Float](repeating: 0, count: stride)
        for row in 0..<count { add(rows.base + row * stride, times: 1 / Float(count), to: &mean) }
        for row in 0..<count { for k in 0..<stride { rows.base[row * stride + k] -= mean[k] } }
        self.rows = rows
    }

    /// Rows start on 64-byte boundaries.
    static func stride(_ width: Int) -> Int { (width + 15) / 16 * 16 }

    /// w for a group that differs by `difference` from other classes' images, blind to `nuisance`.
    func weights(_ difference: [Float], blindTo nuisance: [Float]?) -> [Float] {
        let u = nuisance.map(normalized)
        func blind(_ x: [Float]) -> [Float] {
            guard let u else { return x }
            let part = product(u, x)
            return zip(x, u).map { $0 - part * $1 }
        }
        var w = [Float](repeating: 0, count: width), residual = blind(difference), direction = residual
        var squared = product(residual, residual)
        for _ in 0..<DetectionSettings.filterSteps where squared > 1e-12 {
            let image = blind(covariance(direction)), step = squared / product(direction, image)
            for k in w.indices {
                w[k] += step * direction[k]
                residual[k] -= step * image[k]
            }
            let next = product(residual, residual)
            direction = zip(residual, direction).map { $0 + next / squared * $1 }
            squared = next
        }
        return w
    }

    /// w^T x of images.
    func values(_ images: [Int], _ w: [Float]) -> [Float] {
        parallelMap(images.count, threads: threads) { i, _ in
            withUnsafeTemporaryAllocation(of: Float.self, capacity: width) { x in
                guard let base = x.baseAddress else { return 0 }
                x.update(repeating: 0)
                samples.load(images[i], into: base)
                return w.withUnsafeBufferPointer { w in w.baseAddress.map { product(base, $0, width) } ?? 0 }
            }
        }
    }

    /// Rows of a block fit a second-level cache, so that they are read from memory once. Blocks are added in order: the number of
    /// threads does not show.
    private static let block = 64

    /// (S + ridge) x.
    private func covariance(_ x: [Float]) -> [Float] {
        let blocks = parallelMap((count + Self.block - 1) / Self.block, threads: threads) { block, _ -> [Float] in
            var sum = [Float](repeating: 0, count: width)
            for row in block * Self.block..<min(count, (block + 1) * Self.block) {
                let base = rows.base + row * stride
                add(base, times: x.withUnsafeBufferPointer { x in x.baseAddress.map { product(base, $0, width) } ?? 0 }, to: &sum)
            }
            return sum
        }
        var sum = x.map { DetectionSettings.ridge * $0 }
        for block in blocks { for k in sum.indices { sum[k] += block[k] / Float(count) } }
        return sum
    }
}

/// a . b
private func product(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
    var sums = SIMD16<Float>.zero, k = 0
    while k + 16 <= count {
        sums +=
            UnsafeRawPointer(a + k).loadUnaligned(as: SIMD16<Float>.self) * UnsafeRawPointer(b + k).loadUnaligned(as: SIMD16<Float>.self)
        k += 16
    }
    var sum = sums.sum()
    while k < count {
        sum += a[k] * b[k]
        k += 1
    }
    return sum
}

private func product(_ a: [Float], _ b: [Float]) -> Float {
    a.withUnsafeBufferPointer { x in
        b.withUnsafeBufferPointer { y in
            guard let x = x.baseAddress, let y = y.baseAddress else { return 0 }
            return product(x, y, a.count)
        }
    }
}

private func normalized(_ x: [Float]) -> [Float] {
    let length = max(1e-10, product(x, x).squareRoot())
    return x.map { $0 / length }
}

private func add(_ x: UnsafePointer<Float>, times factor: Float, to sum: inout [Float]) {
    sum.withUnsafeMutableBufferPointer { sum in for k in sum.indices { sum[k] += factor * x[k] } }
}
