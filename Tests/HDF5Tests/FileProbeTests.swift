import CPlatform
import Glibc
import Scratch
import Testing
@testable import HDF5

/// What a copy of the process dies of, the process lives to tell.
@Suite(.serialized) struct FileProbeTests {
    private let scratch = Scratch()

    @Test func tellsHowACopyEnds() {
        #expect(survives({ _ in }, nil, 5) == 0)
        #expect(survives({ _ in abort() }, nil, 5) == SIGABRT)
        #expect(survives({ _ in raise(SIGSEGV) }, nil, 5) == SIGSEGV)
        #expect(survives({ _ in while getpid() > 0 {} }, nil, 1) == SIGXCPU)
    }

    /// Work that is announced takes its time, on any processor; announced elsewhere it changes nothing.
    @Test func workHasItsTime() {
        work_ahead(1 << 40)
        #expect(
            survives(
                { _ in
                    work_ahead(5 << 20)  // 3 seconds more than 1
                    var used = timespec()
                    repeat { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) } while used.tv_sec < 2
                }, nil, 1) == 0)
        #expect(
            survives(
                { _ in
                    work_ahead(1 << 10); while getpid() > 0 {}
                }, nil, 1) == SIGXCPU)
    }

    /// A lock whose owner is another thread stays locked in the copy for ever: that says nothing about a file.
    @Test func aSleepingCopyProvesNothing() {
        #expect(survives({ _ in while true { sleep(1000) } }, nil, 30) == -1)
        #expect(survives({ _ in kill(getpid(), SIGKILL) }, nil, 5) == -1)
    }

    @Test func goodFilesPassOnceAndAgainWhenTheyChange() throws {
        let path = scratch.file("good.h5")
        for round in 1...3 {
            try HDF5File.write(path) { file in
                try file.write("g/x", (0..<100 * round).map { Float($0) }, shape: [100 * round])
                try file.setAttribute("names", of: "g", ["a", "b"])
            }
            for _ in 0..<2 { #expect(try HDF5File.open(path).read("g/x", as: Float.self).values.count == 100 * round) }
        }
    }
}
