import Synchronization

/// Image passes of this process so far, counted where they are made: what a bar goes on by between two reports.
public enum WorkDone {
    /// In thirds of a pass: a forward is one, forward and backward are three.
    private static let thirds = Atomic<Int>(0)

    public static var passes: Double { Double(thirds.load(ordering: .relaxed)) / 3 }

    static func count(_ images: Int, thirds each: Int) { thirds.wrappingAdd(images * each, ordering: .relaxed) }
}
