import Allocations
import Attacks
import Datasets
import Network
import Tensor
import XCTest
@testable import Federation

/// No memory is allocated within a training step, images included: it was all planned before. The only tests of XCTest, which
/// runs them one after the other, in a process of their own: the count is that of the whole process.
final class AllocationTests: XCTestCase {
    private static let batch = 40  // two chunks and a half

    override func setUpWithError() throws {
        try XCTSkipIf(allocations() < 0, "allocations cannot be counted here")
    }

    /// The counter sees what Swift and C allocate; otherwise zero would say nothing.
    func testCounts() {
        let before = allocations()
        let buffers = (0..<10).map { FloatBuffer(100 + $0) }
        XCTAssertGreaterThanOrEqual(allocations() - before, 20, "ten objects and their memory")
        XCTAssertEqual(buffers.count, 10)
    }

    func testLocalTrainingAllocatesNothing() throws {
        for poisoned in [0, 0.5] {
            let samples = try Toy.samples(Self.batch, poisoned: poisoned)
            for set in InstructionSet.available {
                let trainer = Trainer(Toy.network, kernels: set.kernels)
                trainer.reset(Toy.parameters())
                XCTAssertEqual(self.allocated(trainer, samples, steps: 5), 0, "\(set), \(poisoned) poisoned")
            }
        }
    }

    func testTrainingWithAHeadAllocatesNothing() throws {
        let samples = try Toy.samples(Self.batch),
            network = ClampNet(channels: 1, classes: Toy.classes, head: try Head(pairs: 3, width: 192))
        let trainer = Trainer(network, kernels: Toy.kernels)
        trainer.reset(Parameters(network))
        XCTAssertEqual(allocated(trainer, samples, steps: 5), 0)
    }

    /// On several threads Dispatch takes some memory for each step, whatever the number of images.
    func testServerTrainingAllocatesNothingForImages() throws {
        let samples = try Toy.samples(Self.batch)
        for threads in [1, 2] {
            let trainer = Trainer(Toy.network, kernels: Toy.kernels, lanes: Trainer.serverLanes, threads: threads)
            trainer.reset(Toy.parameters())
            let count = allocated(trainer, samples, steps: 5)
            XCTAssertLessThanOrEqual(count, threads == 1 ? 0 : 5 * 10, "\(threads) threads")
        }
    }

    func testPredictionAllocatesNothing() throws {
        let samples = try Toy.samples(Self.batch), parameters = Toy.parameters(), bounds = Bounds(Toy.network)
        let predictor = Predictor(Toy.network, kernels: Toy.kernels, threads: 1)
        func pass() {
            predictor.forEachChunk(samples.count, parameters, bounds, load: { samples.load($0, into: $1) }, visit: { _, _, _ in })
        }
        pass()
        let before = allocations()
        pass()
        XCTAssertEqual(allocations() - before, 0)
    }

    /// Allocations of `steps` steps, after one to warm up.
    private func allocated(_ trainer: Trainer, _ samples: Samples, steps: Int) -> Int {
        let sgd = SGD(rate: 0.01, clip: 5), classes = Toy.classes, batch = Self.batch
        func step() {
            trainer.step(
                batch, sgd, load: { samples.load($0, into: $1) },
                loss: { i, logits, gradient in
                    Loss.crossEntropy(logits, classes: classes, label: samples.label(i), batch: batch, gradient: gradient)
                })
        }
        step()
        let before = allocations()
        for _ in 0..<steps { step() }
        return allocations() - before
    }
}
