import DefenseInterface
import Numerics
import Tensor

/// MM-BD: does the model have a backdoor, and in which class? The statistic r of a class is the largest margin that
/// `MarginImages` reach. Without backdoor the K statistics are alike: a gamma distribution F is fitted to all but the
/// largest, and the largest of K draws from it is r_max or more with probability
///     p = 1 - F(r_max)^K,    detected when p <= 0.05.
///
/// F starts at 0, where the public code fits its start too: the likelihood then has no maximum (it grows without bound for
/// a shape below 1 as the start nears the least value). Needs no data; published with 30 images a class and at most 300
/// steps of 0.01.
///
/// Source: Wang, Xiang, Miller and Kesidis, MM-BD, arXiv 2205.06900, section 3.2.
struct MaximumMarginDetection {
    static let images = 30, level = 0.05

    let statistics: [Double]
    /// The class with the largest statistic, the first among equals.
    let suspect: Int
    /// nil where no distribution can be fitted: fewer than three classes, or one whose margin never rises above 0.
    let p: Double?

    var detected: Bool { p.map { $0 <= Self.level } ?? false }

    init(_ statistics: [Double]) {
        self.statistics = statistics
        suspect = statistics.indices.reduce(0) { statistics[$1] > statistics[$0] ? $1 : $0 }
        var others = statistics
        let largest = others.remove(at: suspect)
        p = GammaDistribution(fitting: others).map { Self.exceeded($0.tail(largest), Double(statistics.count)) }
    }

    /// 1 - (1 - q)^k, by a series where q is small.
    static func exceeded(_ q: Double, _ k: Double) -> Double {
        q * k < 1e-6 ? k * q * (1 - (k - 1) / 2 * q) : 1 - Mathematics.exp(k * Mathematics.log(1 - q))
    }

    func findings(_ schedule: MarginImages.Schedule) -> [Finding] {
        let verdict = p.map { "class \(suspect), p \(fixed($0, 4)): \(detected ? "backdoor detected" : "none detected")" }
        let used = min(Self.images, schedule.perClass)
        var found = [
            Finding(
                "MM-BD (p up to \(fixed(Self.level, 2)): backdoor)", verdict ?? "not tested: it takes three classes, and margins above 0"),
            Finding(
                "MM-BD: images a class, steps, rate",
                "\(used) \(schedule.steps) \(fixed(Double(schedule.rate), 2)) (published: 30 300 0.01)"),
        ]
        if statistics.count <= 20 {
            found.append(Finding("MM-BD: largest margin per class", statistics.map { fixed($0, 1) }.joined(separator: " ")))
        }
        return found
    }
}
