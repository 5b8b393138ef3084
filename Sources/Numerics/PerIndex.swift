extension Range where Bound == Int {
    /// Runs of at most `size`.
    package func split(into size: Int) -> [[Int]] {
        stride(from: lowerBound, to: upperBound, by: size).map { Array($0..<Swift.min($0 + size, upperBound)) }
    }
}

/// Values that several threads read and write, each index by one.
package final class Slots<T>: @unchecked Sendable {
    private let base: UnsafeMutableBufferPointer<T>

    package init(_ values: [T]) {
        base = .allocate(capacity: values.count)
        _ = base.initialize(from: values)
    }

    deinit {
        base.deinitialize()
        base.deallocate()
    }

    package var count: Int { base.count }
    package var isEmpty: Bool { base.isEmpty }

    package subscript(_ i: Int) -> T {
        get { base[i] }
        set { base[i] = newValue }
    }
}

/// Flags set by any thread, each index by one.
package final class Flags: @unchecked Sendable {
    private let flags: UnsafeMutablePointer<Bool>
    private let size: Int

    package init(_ size: Int) {
        self.size = size
        flags = .allocate(capacity: max(1, size))
        flags.initialize(repeating: false, count: max(1, size))
    }

    deinit { flags.deallocate() }

    package subscript(_ i: Int) -> Bool {
        get { flags[i] }
        set { flags[i] = newValue }
    }

    package var count: Int { (0..<size).filter { flags[$0] }.count }
}
