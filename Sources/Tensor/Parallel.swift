import Dispatch
import Synchronization

/// Runs `body(index, worker)` for every index below `count` on at most `threads` threads; worker is in 0..<threads, so
/// each may own scratch memory. Which worker takes which index is not determined: results must not depend on it.
public func parallel(_ count: Int, threads: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
    let workers = min(max(1, threads), count)
    if workers <= 1 {
        for i in 0..<max(0, count) { body(i, 0) }
        return
    }
    let next = Counter()
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
        while let index = next.take(below: count) { body(index, worker) }
    }
}

private final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    func take(below count: Int) -> Int? {
        let index = value.add(1, ordering: .relaxed).oldValue
        return index < count ? index : nil
    }
}
