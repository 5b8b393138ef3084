import Glibc
import OwnMethods
import Synchronization

/// SIGINT and SIGTERM, and what Slurm sends before the end of a job (USR1, HUP, XCPU), ask work that can go on later to stop when its step
/// is saved. A step that takes longer than `grace` is given up: the file of the step before is whole. A second signal, or the first to any
/// other work, ends the process at once.
enum Signals {
    private static let received = Atomic<Int32>(0), resumable = Atomic<Bool>(false)
    /// Seconds that a step may take to its end.
    private static let grace: UInt32 = 4

    /// To be called by work that asks for `stop`.
    static func stopAfterStep() { resumable.store(true, ordering: .relaxed) }

    /// The signal that asks to stop, if one came.
    static var stop: Int32? {
        let signal = received.load(ordering: .relaxed)
        return signal == 0 ? nil : signal
    }

    /// To be called once, first of all. A closed pipe, or a file size limit, is an error of `write` then, not the end of
    /// the process. A hang-up or Ctrl-C that the caller ignores, as nohup and background
    /// jobs of scripts do, stays ignored.
    static func install() {
        _ = (stop, resumable.load(ordering: .relaxed), grace)  // the globals are made here, not in a handler
        OwnMethods.prepareForSignals()
        Glibc.signal(SIGPIPE, SIG_IGN)
        Glibc.signal(SIGXFSZ, SIG_IGN)
        Glibc.signal(SIGALRM) { _ in
            Signals.say(
                "fedclamp: the step did not end in time and is given up; what was saved before is whole, and run --resume, or the same reproduce or sweep again, goes on from there; before the first save the work begins anew\n"
            )
            OwnMethods.killAll()
            _exit(128 + Signals.received.load(ordering: .relaxed))
        }
        for number in [SIGINT, SIGTERM, SIGUSR1, SIGHUP, SIGXCPU] where !isIgnored(number) || ![SIGHUP, SIGINT].contains(number) {
            Glibc.signal(number) { number in
                if Signals.received.exchange(number, ordering: .relaxed) != 0 || !Signals.resumable.load(ordering: .relaxed) {
                    OwnMethods.killAll()
                    _exit(128 + number)
                }
                Signals.say("\nfedclamp: stopping at the end of this step, or in 4 s; once more ends at once\n")
                alarm(Signals.grace)
            }
        }
    }

    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        return sigaction(number, nil, &action) == 0
            && unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// Of a handler: nothing but `write`.
    private static func say(_ text: StaticString) { _ = Glibc.write(2, text.utf8Start, text.utf8CodeUnitCount) }
}
