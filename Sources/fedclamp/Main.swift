import Network
import Tensor
import Glibc
func now() -> Double { var t = timespec(); clock_gettime(CLOCK_MONOTONIC, &t); return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9 }
var seed = SystemRandomNumberGenerator()
for set in InstructionSet.available {
    let k = set.kernels
    let t0 = now(); let f = k.peak(100_000_000 / k.lanes * 4); let peak = Double(f) / (now() - t0) / 1e9
    let net = ClampNet(channels: 3, classes: 10)
    for (lanes, threads) in [(1, 1), (4, 1), (4, 2)] {
        let tr = Trainer(net, kernels: k, lanes: lanes, threads: threads)
        let p = Parameters(net)
        p.initialize(normal: { (g: inout SystemRandomNumberGenerator) in Double.random(in: -1.7...1.7, using: &g) }, using: &seed)
        tr.reset(p)
        let load: (Int, UnsafeMutablePointer<Float>) -> Void = { i, x in for y in 1...32 { for j in 3..<99 { x[y * 102 + j] = Float((i * 7 + y * 31 + j * 17) % 101) / 50 - 1 } } }
        var best = 1e9
        for _ in 0..<12 {
            let t = now()
            let l = tr.step(64, SGD(rate: 0.001), load: load) { i, a, g in Loss.crossEntropy(a, classes: 10, label: i % 10, batch: 64, gradient: g) }
            best = min(best, now() - t); if l != l { print("nan") }
        }
        let pr = Predictor(net, kernels: k, threads: threads)
        var bf = 1e9
        for _ in 0..<6 { let t = now(); _ = pr.logits(256, p, Bounds(), load: load); bf = min(bf, now() - t) }
        print(set, "peak", peak, "lanes", lanes, "threads", threads, "train img/s", 64 / best, "forward", 256 / bf)
    }
}
