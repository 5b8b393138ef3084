import Synchronization

/// Runs `body(index, worker)` for every index below `count` on at most `threads` threads; worker is in 0..<threads, so
/// each may own scratch memory. Which worker takes which index is not determined: results must not depend on it. There are
/// fewer threads where the system grants fewer, and inside `body` all of this is done by the one that calls.
public func parallel(_ count: Int, threads: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
    let workers = min(max(1, threads), count)
    if workers <= 1 {
        for i in 0..<max(0, count) { body(i, 0) }
        return
    }
    let next = Counter()
    ThreadPool.shared.run(workers) { worker in
        while let index = next.take(below: count) { body(index, worker) }
    }
}

/// What `body` returns for every index below `count`, in order.
public func parallelMap<T>(_ count: Int, threads: Int, _ body: (_ index: Int, _ worker: Int) -> T) -> [T] {
    let slots = Slots<T>(count)
    parallel(count, threads: threads) { index, worker in slots[index] = body(index, worker) }
    return slots.values
}

/// One slot for each index, written once by whichever thread does the work.
private final class Slots<T>: @unchecked Sendable {
    private let slots: UnsafeMutablePointer<T?>
    private let count: Int

    init(_ count: Int) {
        self.count = count
        slots = .allocate(capacity: count)
        slots.initialize(repeating: nil, count: count)
    }

    deinit {
        slots.deinitialize(count: count)
        slots.deallocate()
    }

    subscript(_ i: Int) -> T? {
        get { slots[i] }
        set { slots[i] = newValue }
    }

    var values: [T] { (0..<count).compactMap { slots[$0] } }
}

private final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func take(below count: Int) -> Int? {
        let index = value.add(1, ordering: .relaxed).oldValue
        return index < count ? index : nil
    }
}
