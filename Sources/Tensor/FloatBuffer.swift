import Glibc

/// Floats on a 64-byte boundary, zero at first, freed with the object. The one owner of numeric memory.
public final class FloatBuffer: @unchecked Sendable {
    public let base: UnsafeMutablePointer<Float>
    public let count: Int
    private let memory: UnsafeMutableRawPointer

    public init(_ count: Int) {
        self.count = count
        let bytes = max(64, (count * 4 + 63) / 64 * 64)
        // Pages that come fresh from the system are zero, and take no memory until they are written to.
        guard let memory = calloc(1, bytes + 63) else { outOfMemory(bytes) }
        self.memory = memory
        base = memory.alignedUp(toMultipleOf: 64).bindMemory(to: Float.self, capacity: bytes / 4)
    }

    deinit { free(memory) }

    public func copy(from other: FloatBuffer) {
        precondition(count == other.count)
        memcpy(base, other.base, count * 4)
    }

    public func zero() { memset(base, 0, count * 4) }

    public func fill(_ value: Float) { for i in 0..<count { base[i] = value } }

    /// A copy. The buffer lives until it is made, which nothing promises for a view of a temporary buffer.
    public var array: [Float] { Array(values) }

    /// A view, valid as long as the buffer is kept.
    public var values: UnsafeMutableBufferPointer<Float> { UnsafeMutableBufferPointer(start: base, count: count) }
}

/// Ends the program: without memory nothing of value can follow, and the files on disk are whole.
func outOfMemory(_ bytes: Int) -> Never {
    fputs("fedclamp: out of memory: \(bytes) bytes were refused; use fewer --threads\n", stderr)
    exit(2)
}
