import Federation
import HDF5

/// What a report shows of one attacked training besides numbers: pictures, and activations with and without trigger.
struct Illustration: Equatable, Sendable {
    /// Images in a row.
    struct Strip: Equatable, Sendable {
        var name: String
        var channels: Int, side: Int
        /// (count, channels, side, side)
        var pixels: [UInt8]
        /// Names of the classes that they are labelled with.
        var labels: [String]
    }

    /// A channel's largest activation in each image, in the undefended network: counts in equal bins from 0 to `high`.
    struct Histogram: Equatable, Sendable {
        var layer: String, channel: Int
        var high: Double, bound: Double
        var clean: [Int], triggered: [Int]
        /// Share of the images that the bound cuts.
        var cleanOver: Double, triggeredOver: Double
    }

    var strips: [Strip]
    var histograms: [Histogram]

    static let format = "fedclamp-illustration"

    /// Throws `HDF5Error`.
    func write(to path: String) throws {
        try HDF5File.write(path) { file in
            try file.setAttribute("format", Self.format)
            for (at, strip) in strips.enumerated() {
                let group = "/pictures/\(at)"
                try file.createGroup(group)
                try file.setAttribute("name", of: group, strip.name)
                try file.write("\(group)/images", strip.pixels, shape: [strip.labels.count, strip.channels, strip.side, strip.side])
                try file.writeStrings("\(group)/labels", strip.labels)
            }
            for (at, histogram) in histograms.enumerated() {
                let group = "/activations/\(at)"
                try file.createGroup(group)
                try file.setAttribute("layer", of: group, histogram.layer)
                try file.setAttribute("channel", of: group, histogram.channel)
                for (name, value) in [
                    ("high", histogram.high), ("bound", histogram.bound), ("clean_over", histogram.cleanOver),
                    ("triggered_over", histogram.triggeredOver),
                ] {
                    try file.setAttribute(name, of: group, value)
                }
                for (name, counts) in [("clean", histogram.clean), ("triggered", histogram.triggered)] {
                    try file.write("\(group)/\(name)", counts.map(Int64.init), shape: [counts.count])
                }
            }
        }
    }

    init(strips: [Strip], histograms: [Histogram]) { (self.strips, self.histograms) = (strips, histograms) }

    /// Throws `HDF5Error` or `RunError.incompatible` for a file of something else.
    init(_ path: String) throws {
        let file = try HDF5File.open(path)
        func members(_ group: String) throws -> [String] {
            guard try file.exists(group) else { return [] }
            return try file.children(of: group).sorted { (Int($0) ?? 0) < (Int($1) ?? 0) }.map { "\(group)/\($0)" }
        }
        strips = try members("/pictures").map { group in
            let images = try file.read("\(group)/images", as: UInt8.self, shape: [-1, -1, -1, -1]), shape = images.shape
            let labels = try file.readStrings("\(group)/labels")
            guard shape[0] == labels.count, shape[0] > 0, shape[1] == 1 || shape[1] == 3, shape[2] > 0, shape[2] == shape[3] else {
                throw RunError.incompatible(
                    "\(path), \(group): expected square images of 1 or 3 channels, as many as labels, got \(shape) and \(labels.count) labels"
                )
            }
            return Strip(
                name: try file.stringAttribute("name", of: group) ?? "", channels: shape[1], side: shape[2], pixels: images.values,
                labels: labels)
        }
        histograms = try members("/activations").map { group in
            func number(_ name: String) throws -> Double { try file.doubleAttribute(name, of: group) ?? .nan }
            func counts(_ name: String) throws -> [Int] {
                try file.read("\(group)/\(name)", as: Int64.self, shape: [-1]).values.map { Int($0) }
            }
            return Histogram(
                layer: try file.stringAttribute("layer", of: group) ?? "", channel: try file.intAttribute("channel", of: group) ?? 0,
                high: try number("high"), bound: try number("bound"), clean: try counts("clean"), triggered: try counts("triggered"),
                cleanOver: try number("clean_over"), triggeredOver: try number("triggered_over"))
        }
    }
}

/// Files of pictures and activations, for those who want to know what one is.
public enum IllustrationFile {
    /// Name and value of each part; nil for a file of another kind.
    public static func facts(_ file: HDF5File) throws -> [(name: String, value: String)]? {
        guard try file.stringAttribute("format") == Illustration.format else { return nil }
        let shown = try Illustration(file.path)
        return shown.strips.map { ($0.name, "\($0.labels.count) images of \($0.channels)x\($0.side)x\($0.side)") }
            + shown.histograms.map { one in
                let shares = [one.cleanOver, one.triggeredOver].map { Numbers.fixed(100 * $0, 1) }
                return (
                    one.layer,
                    "channel \(one.channel), bound \(Numbers.fixed(one.bound, 3)) cuts \(shares[0]) % of the clean and \(shares[1]) % of the triggered images"
                )
            }
    }
}
