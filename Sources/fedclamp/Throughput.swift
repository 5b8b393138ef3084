import Datasets
import Federation
import Glibc
import HDF5
import Network
import Tensor

/// What this machine does per second with one instruction set: training as clients do it (one model a thread, batch 64),
/// forward passes, and independent multiply-adds, the peak that arithmetic can reach.
struct Throughput {
    struct Speed {
        var threads: Int
        /// Images a second: of a model a thread, and of one model on all threads, as the server trains.
        var training: Double, oneModel: Double, forward: Double
        /// Floating-point operations a second, all threads together.
        var peak: Double
        /// Multiply-adds of one image's forward pass, counted as direct convolutions.
        var multiplyAdds: Double

        /// Operations a second that the images stand for; Winograd's transforms do the convolutions with fewer.
        var trainingFlops: Double { training * multiplyAdds * 6 }
        var forwardFlops: Double { forward * multiplyAdds * 2 }

        var members: [(String, JSON)] {
            [
                ("threads", .whole(threads)), ("train_images_per_second", .number(training)),
                ("train_one_model_images_per_second", .number(oneModel)), ("forward_images_per_second", .number(forward)),
                ("train_gflops", .number(trainingFlops / 1e9)), ("forward_gflops", .number(forwardFlops / 1e9)),
                ("peak_gflops", .number(peak / 1e9)), ("train_share_of_peak", .number(trainingFlops / peak)),
                ("forward_share_of_peak", .number(forwardFlops / peak)),
            ]
        }
    }

    static let batch = 64
    private let set: InstructionSet, threads: Int
    private let network = ClampNet(channels: 3, classes: 10)
    private let trainers: [Trainer], serverTrainer: Trainer
    private let predictor: Predictor
    private let parameters: Parameters

    init(_ set: InstructionSet, threads: Int) {
        (self.set, self.threads) = (set, threads)
        let network = network, kernels = set.kernels
        trainers = (0..<threads).map { _ in Trainer(network, kernels: kernels) }
        serverTrainer = Trainer(network, kernels: kernels, lanes: Trainer.serverLanes, threads: threads)
        predictor = Predictor(network, kernels: kernels, threads: threads)
        parameters = Parameters(network)
        var stream = RandomStream(seed: 1, purpose: "throughput")
        parameters.initialize(normal: { (s: inout RandomStream) in s.normal() }, using: &stream)
        for trainer in trainers + [serverTrainer] { trainer.reset(parameters) }
    }

    /// Each of the measurements takes about `seconds`: the fastest of as many rounds as fit.
    func measure(seconds: Double) -> Speed {
        let forwardImages = Workspace.capacity * 8 * threads, rounds = 4_000_000, kernels = set.kernels
        let training = trainingRate(seconds: seconds)
        let oneModel = Double(Self.batch) / fastest(seconds) { step(serverTrainer) }
        let forward = fastest(seconds) { _ = predictor.logits(forwardImages, parameters, Bounds(network), load: Self.load) }
        let operations = Double(kernels.peak(1)) * Double(rounds)
        let peak = fastest(seconds) { parallel(threads, threads: threads) { _, _ in _ = kernels.peak(rounds) } }
        return Speed(
            threads: threads, training: training, oneModel: oneModel, forward: Double(forwardImages) / forward,
            peak: operations * Double(threads) / peak, multiplyAdds: Double(network.multiplyAdds))
    }

    /// Images a second that the threads train on together.
    func trainingRate(seconds: Double) -> Double {
        Double(Self.batch * threads)
            / fastest(seconds) {
                parallel(threads, threads: threads) { index, _ in step(trainers[index]) }
            }
    }

    private func step(_ trainer: Trainer) {
        trainer.step(Self.batch, SGD(rate: 1e-4), load: Self.load) { i, logits, gradient in
            Loss.crossEntropy(logits, classes: 10, label: i % 10, batch: Self.batch, gradient: gradient)
        }
    }

    private func fastest(_ seconds: Double, _ body: () -> Void) -> Double {
        body()  // first touch of memory and caches
        let begin = monotonicSeconds()
        var best = Double.infinity
        repeat {
            let start = monotonicSeconds()
            body()
            best = min(best, monotonicSeconds() - start)
        } while monotonicSeconds() - begin < seconds
        return best
    }

    private static func load(_ i: Int, _ x: UnsafeMutablePointer<Float>) {
        for y in 1...32 {
            for j in 3..<99 { x[y * 102 + j] = Float((i * 7 + y * 31 + j * 17) % 101) / 50 - 1 }
        }
    }

    /// As the kernel names it; the architecture where it does not.
    static var cpuName: String {
        // Of machines with many cores the file is long; the first of them will do.
        guard let bytes = try? Files.read("/proc/cpuinfo", limit: 16 << 20), let lines = try? TextLines(bytes, path: "/proc/cpuinfo").lines,
            let line = lines.first(where: { $0.text.hasPrefix("model name") }), let colon = line.text.firstIndex(of: ":")
        else { return architecture }
        return String(line.text[colon...].dropFirst()).trimmed
    }

    #if arch(x86_64)
        private static let architecture = "x86-64"
    #elseif arch(arm64)
        private static let architecture = "arm64"
    #else
        private static let architecture = "unknown"
    #endif
}
