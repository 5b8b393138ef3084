import Glibc
import Synchronization

/// Starts a thread that runs `body`, with every signal blocked: those are for the thread that `main` began on.
/// Gives 0, or the errno with which the system refuses one more (`ulimit -u`, a container's filter of system calls, memory).
public func startThread(_ body: @escaping @Sendable () -> Void) -> Int32 {
    final class Start: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let start = Unmanaged.passRetained(Start(body))
    var attributes = pthread_attr_t(), all = sigset_t(), before = sigset_t(), thread = pthread_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    pthread_attr_setstacksize(&attributes, threadStackBytes)
    pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let code = pthread_create(
        &thread, &attributes,
        { context in
            if let context { Unmanaged<Start>.fromOpaque(context).takeRetainedValue().body() }
            return nil
        }, start.toOpaque())
    if code != 0 { start.release() }
    return code
}

/// 2 MiB, whatever `ulimit -s` says: a training step needs some kilobytes.
private let threadStackBytes = 2 << 20

/// How many threads `parallel` can work on, of `wanted`, with the one that calls it: fewer where the system refuses more, at
/// worst that one, and then why (an errno; else 0). Those that are there stay, asleep until there is work.
public func grantedThreads(_ wanted: Int) -> (count: Int, code: Int32) { ThreadPool.shared.grow(to: wanted) }

/// The threads of `parallel`, made once, as many as were ever asked for and granted. They never come to an end.
final class ThreadPool: @unchecked Sendable {
    static let shared = ThreadPool()

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let workThere = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let allBack = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    /// One piece of work at a time: whoever comes meanwhile, from inside it or another thread, works alone.
    private let isBusy = Atomic<Bool>(false)
    // Under `mutex`: threads there are and why not more; the work, how many are still to join it, the number that the next
    // one gets, and how many are at it.
    private var threads = 0, refusal: Int32 = 0
    private var work: ((Int) -> Void)?, wanted = 0, nextWorker = 1, atWork = 0

    private init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(workThere, nil)
        pthread_cond_init(allBack, nil)
    }

    func grow(to wanted: Int) -> (count: Int, code: Int32) {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while threads < wanted - 1, refusal == 0 {
            refusal = startThread { self.serve() }
            if refusal == 0 { threads += 1 }
        }
        return (max(1, min(wanted, threads + 1)), threads < wanted - 1 ? refusal : 0)
    }

    /// Runs `body(0)` here and `body(1)`, ... on other threads, at most `workers` in all and perhaps fewer: each must go on
    /// until nothing is left to do. Returns when all have come back.
    func run(_ workers: Int, _ body: (_ worker: Int) -> Void) {
        guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else { return body(0) }
        defer { isBusy.store(false, ordering: .releasing) }
        let others = grow(to: workers).count - 1
        // The compiler puts the length of this file's path beside the check; without its folder the executable does not depend on it.
        #sourceLocation(file:"ThreadPool.run",line:1)
        withoutActuallyEscaping(body) { body in
            pthread_mutex_lock(mutex)
            (work, wanted, nextWorker) = (body, others, 1)
            if others == 1 { pthread_cond_signal(workThere) } else { pthread_cond_broadcast(workThere) }
            pthread_mutex_unlock(mutex)
            body(0)
            pthread_mutex_lock(mutex)
            wanted = 0  // who has not joined by now finds nothing to do
            while atWork > 0 { pthread_cond_wait(allBack, mutex) }
            work = nil
            pthread_mutex_unlock(mutex)
        }
        #sourceLocation()
    }

    private func serve() {
        pthread_mutex_lock(mutex)
        while true {
            guard wanted > 0, let work else { pthread_cond_wait(workThere, mutex); continue }
            let worker = nextWorker
            (wanted, nextWorker, atWork) = (wanted - 1, nextWorker + 1, atWork + 1)
            pthread_mutex_unlock(mutex)
            work(worker)
            pthread_mutex_lock(mutex)
            atWork -= 1
            if atWork == 0 { pthread_cond_signal(allBack) }
        }
    }
}
