import Glibc
import Synchronization
import Testing
@testable import Tensor

@Suite struct ParallelTests {
    /// Every index once, by workers of their own, for any number of threads and pieces of work.
    @Test(arguments: [1, 2, 3, 8]) func everyIndexOnce(threads: Int) {
        for count in [0, 1, 2, 7, 1000] {
            let seen = (0..<count).map { _ in Once() }, busy = (0..<threads).map { _ in Once() }
            parallel(count, threads: threads) { index, worker in
                #expect(busy[worker].value.add(1, ordering: .relaxed).oldValue == 0, "two at once have one number")
                seen[index].value.add(1, ordering: .relaxed)
                busy[worker].value.subtract(1, ordering: .relaxed)
            }
            #expect(seen.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
        }
        #expect(parallelMap(100, threads: threads) { index, _ in index * index } == (0..<100).map { $0 * $0 })
    }

    private final class Once: Sendable { let value = Atomic<Int>(0) }

    /// Work inside of work, and from other threads, is done by the one that comes: nothing waits for itself.
    @Test func workInsideOfWork() {
        let sums = parallelMap(8, threads: 4) { outer, _ in parallelMap(50, threads: 4) { inner, _ in outer * inner }.reduce(0, +) }
        #expect(sums == (0..<8).map { $0 * 1225 })
    }

    /// Thousands of short pieces, so that waking and coming back meet in every order.
    @Test func manyShortPieces() {
        let total = Atomic<Int>(0)
        for _ in 0..<20_000 { parallel(3, threads: 3) { index, _ in total.add(index, ordering: .relaxed) } }
        #expect(total.load(ordering: .relaxed) == 60_000)
    }

    /// More than the system grants: as many as there are, and why not more.
    @Test func fewerAreGranted() {
        let (count, code) = grantedThreads(3)
        #expect(count == 3 && code == 0)
        #expect(grantedThreads(1).count == 1 && grantedThreads(0).count == 1)
    }
}
