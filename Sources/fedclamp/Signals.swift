import Glibc
import OwnMethods
import Synchronization

/// SIGINT and SIGTERM ask work that can go on later to stop when its step is saved; a second one, or the first to any
/// other work, ends the process at once.
enum Signals {
    private static let received = Atomic<Int32>(0), resumable = Atomic<Bool>(false)

    /// To be called by work that asks for `stop`.
    static func stopAfterStep() { resumable.store(true, ordering: .relaxed) }

    /// The signal that asks to stop, if one came.
    static var stop: Int32? {
        let signal = received.load(ordering: .relaxed)
        return signal == 0 ? nil : signal
    }

    /// To be called once, first of all. A closed pipe, or a file size limit, is an error of `write` then, not the end of
    /// the process.
    static func install() {
        _ = (stop, resumable.load(ordering: .relaxed))  // the globals are made here, not in a handler
        OwnMethods.prepareForSignals()
        Glibc.signal(SIGPIPE, SIG_IGN)
        Glibc.signal(SIGXFSZ, SIG_IGN)
        for number in [SIGINT, SIGTERM] {
            Glibc.signal(number) { number in
                if Signals.received.exchange(number, ordering: .relaxed) != 0 || !Signals.resumable.load(ordering: .relaxed) {
                    OwnMethods.killAll()
                    _exit(128 + number)
                }
                let text: StaticString = "\nfedclamp: stopping at the end of this step; once more ends at once\n"
                _ = Glibc.write(2, text.utf8Start, text.utf8CodeUnitCount)
            }
        }
    }
}
