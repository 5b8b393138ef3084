import Experiments
import Federation
import Glibc
import Network
import Numerics
import Synchronization
import Tensor

/// Where the work stands, on stderr: on a terminal one line with a bar that is drawn anew every second, elsewhere a plain
/// line for each finished step.
final class Progress: @unchecked Sendable {
    private struct State {
        var phase = "", done = 0.0, total = 1.0, reading = ""
        /// First report: the origin of the rate. Last: what the clock has gone on from.
        var first: (time: Double, done: Double)?, last = 0.0
        /// What this process had done in all at the last report.
        var counted = 0.0
        var drawn = false, finished = false
    }

    let isTerminal: Bool
    private let state = Mutex(State())

    init() {
        isTerminal = isatty(2) == 1
        guard isTerminal else { return }
        // Lets the seconds go on between reports. Where the system refuses a thread, the bar moves with the reports alone.
        _ = startThread { [weak self] in
            repeat { sleep(1) } while self?.tick() ?? false
        }
    }

    /// Draws the bar; false when there is none any more.
    private func tick() -> Bool {
        draw()
        return state.withLock { !$0.finished }
    }

    /// `reading` is what was measured last, "ACC 0.812  ASR 0.034". `done` and `total` count image passes.
    func update(_ phase: String, done: Double, total: Double, reading: String) {
        state.withLock { state in
            let now = monotonicSeconds()
            if state.first == nil { state.first = (now, done) }
            (state.phase, state.done, state.total, state.reading, state.last) = (phase, done, max(total, done), reading, now)
            state.counted = WorkDone.passes
        }
        if isTerminal { draw() }
    }

    func update(_ progress: RunProgress) {
        update(progress.phase, done: progress.done, total: progress.total, reading: progress.latest.map(Self.reading) ?? "")
    }

    /// A line that stays, above the bar.
    func line(_ text: String) {
        erase()
        note(text)
        if isTerminal { draw() }
    }

    /// Removes the bar.
    func erase() {
        state.withLock { state in
            guard state.drawn else { return }
            write(2, "\r\u{1B}[K")
            state.drawn = false
        }
    }

    func finish() {
        state.withLock { $0.finished = true }
        erase()
    }

    /// "ETA 3 min 20 s" by the passes done per second so far; empty until there is a rate.
    var remaining: String { state.withLock { Self.remaining($0) } }

    private static func remaining(_ state: State) -> String {
        let done = done(state), now = monotonicSeconds()
        guard let first = state.first, done > first.done, now > first.time else { return "" }
        return "ETA " + Numbers.duration((state.total - done) * (now - first.time) / (done - first.done))
    }

    /// Passes done by now: those reported, and what was counted since.
    private static func done(_ state: State) -> Double { min(state.total, state.done + WorkDone.passes - state.counted) }

    static func reading(_ row: HistoryRow) -> String {
        guard !row.accuracy.isNaN else { return "" }  // a round after which nothing is measured
        var text = "ACC \(Numbers.fixed(row.accuracy, 3))"
        if !row.attackSuccess.isNaN { text += "  ASR \(Numbers.fixed(row.attackSuccess, 3))" }
        if !row.accuracyBounded.isNaN {
            text += "  bounded ACC \(Numbers.fixed(row.accuracyBounded, 3))  ASR \(Numbers.fixed(row.attackSuccessBounded, 3))"
        }
        return text
    }

    private func draw() {
        state.withLock { state in
            guard state.first != nil, !state.finished else { return }
            let share = min(1, Self.done(state) / max(1, state.total)), cells = 20, full = Int(share * Double(cells))
            let bar = String(repeating: "#", count: full) + String(repeating: ".", count: cells - full)
            let parts = ["[\(bar)] \(Int(share * 100)) %", state.phase, state.reading, Self.remaining(state)]
            let text = parts.filter { !$0.isEmpty }.joined(separator: "  ")
            write(2, "\r\u{1B}[K" + String(text.prefix(Self.columns - 1)))
            state.drawn = true
        }
    }

    private static var columns: Int {
        var size = winsize()
        return ioctl(2, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) : 100
    }
}
